"""Traces as they are published are read; a broken line is named with its column and a remedy."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from inferops.simulate.scaling.scenario import Request
from inferops.simulate.traces import kinds
from inferops.simulate.traces.lines import BadTrace
from inferops.simulate.traces.rates import Step

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:04.0319600,3180,8
2023-11-16 18:17:05.9799600,0,27
"""
BURSTGPT = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45.5,GPT-4,1087,230,1317,API log
118,ChatGPT,417,0,417,Conversation log
"""
RATES = "start_s,requests_per_s,mean_client_cv\n0,2.5,1.5\n600,0,1\n1800,4,25\n"


def written(folder: Path, text: str, *, packed: bool = False) -> Path:
    path = folder / "trace"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_azure(tmp_path: Path, packed: bool) -> None:
    found = list(kinds.requests(written(tmp_path, AZURE, packed=packed))())
    assert [(each.prompt, each.output) for each in found] == [(4808, 10), (3180, 8), (1, 27)]
    assert [each.time - found[0].time for each in found] == pytest.approx([0, 0.052, 2])


def test_azure_of_2024_with_zones_and_a_byte_order_mark(tmp_path: Path) -> None:
    text = "\ufeffTIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 02:00:00.009930+02:00,5,6\n"
    assert list(kinds.requests(written(tmp_path, text))()) == [Request(1715299200.00993, 5, 6)]


def test_burstgpt_without_those_that_failed(tmp_path: Path) -> None:
    found = list(kinds.requests(written(tmp_path, BURSTGPT))())
    assert found == [Request(5.0, 472, 18), Request(45.5, 1087, 230)]


def mooncake(folder: Path, hashes: list[list[int]]) -> list[Request]:
    lines = [
        json.dumps({"timestamp": 500 * at, "input_length": 512 * len(each) - 100, "output_length": 7, "hash_ids": each})
        for at, each in enumerate(hashes)
    ]
    return list(kinds.requests(written(folder, "\n".join(lines)))())


def test_mooncake_times_and_sizes(tmp_path: Path) -> None:
    assert mooncake(tmp_path, [[1, 2], [3]]) == [Request(0.0, 924, 7), Request(0.5, 412, 7)]


def test_a_conversation_is_a_session_that_shares_more_with_each_turn(tmp_path: Path) -> None:
    first, second, third = mooncake(tmp_path, [[1, 2], [1, 2, 3, 4], [1, 2, 3, 4, 5]])
    assert first.session == second.session == third.session > 0
    assert [each.shared for each in (first, second, third)] == [924, 1948, 2048]  # the first two have no more


def test_a_common_beginning_makes_no_common_conversation(tmp_path: Path) -> None:
    system = [1, 2]
    chats = [[*system, 10, 11, 12], [*system, 20, 21, 22], [*system, 30]]
    turns = [[*each, 100 + at, 200 + at] for at, each in enumerate(chats[:2])]
    one, other, alone, one_again, other_again = mooncake(tmp_path, [*chats, *turns])
    assert one.session == one_again.session != other.session == other_again.session
    assert other_again.shared == 5 * 512
    assert alone.shared == 2 * 512 and alone.session  # no more than the system's prompt


def test_rates(tmp_path: Path) -> None:
    assert kinds.steps(written(tmp_path, RATES)) == [Step(600, 2.5, 1.5), Step(1200, 0, 1), Step(1200, 4, 20)]


def test_a_saved_answer_of_prometheus(tmp_path: Path) -> None:
    series = [
        {"metric": {"pod": "a"}, "values": [[100, "1"], [160, "2"], [280, "NaN"], [340, "4"]]},
        {"metric": {"pod": "b"}, "values": [[160, "0.5"]]},
    ]
    answer = {"status": "success", "data": {"resultType": "matrix", "result": series}}
    long = [{"metric": {"pod": "x" * 2**20}, "values": []}, *series]
    for text in (json.dumps(answer), json.dumps(answer, indent=2), json.dumps(series), json.dumps(long)):
        assert kinds.steps(written(tmp_path, text)) == [Step(60, rate) for rate in (1, 2.5, 0, 0, 4)]


BROKEN = [
    ("a time", AZURE + "yesterday,1,2\n", "line 5, column TIMESTAMP: 'yesterday' is not a time"),
    ("tokens", AZURE + "2023-11-16 18:17:09,many,2\n", "line 5, column ContextTokens: 'many' is not a number of"),
    ("negative tokens", AZURE + "2023-11-16 18:17:09,1,-2\n", "line 5, column GeneratedTokens: '-2' is not"),
    ("a line cut off", AZURE + "2023-11-16 18:17:09,1\n", "line 5: has 2 of 3 columns; complete the line"),
    ("after empty lines", AZURE + "\n\n2023-11-16 18:17:09,1\n", "line 7: has 2 of 3 columns"),
    ("another number", BURSTGPT + "inf,ChatGPT,1,2,3,x\n", "line 5, column Timestamp: 'inf' is not a number of"),
    ("an open quote", AZURE + '"2023', "line 5: has 1 of 3 columns"),
    ("no JSON", '{"timestamp": 1, "input_length": 5, "output_length": 1}\n{', "line 2: is no JSON"),
    ("no object", '{"timestamp": 1, "input_length": 5, "output_length": 1}\n[1]', "line 2: is no JSON object"),
    ("a field", '{"timestamp": 1, "input_length": "x", "output_length": 1}', "line 1, column input_length: 'x' is"),
    ("hashes", '{"timestamp": 1, "input_length": 5, "output_length": 1, "hash_ids": ["a"]}', "column hash_ids: is not"),
    ("a time in ms", '{"timestamp": -1, "input_length": 5, "output_length": 1}', "column timestamp: -1 is not"),
    ("a header", "when,what\n1,2\n", "line 1: none of the headers that are known; it must begin with TIMESTAMP"),
    ("nothing", "", "is empty; give a file that begins with"),
    ("rates", RATES, "holds rates and no requests; give it by --rates"),
]


@pytest.mark.parametrize(("text", "told"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_what_is_broken_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(BadTrace) as raised:
        list(kinds.requests(path)())
    assert told in str(raised.value) and str(path) in str(raised.value)


BROKEN_RATES = [
    ("out of order", RATES + "1700,1,1\n", "line 5, column start_s: 1700 does not come after 1800; sort the file"),
    ("a rate", RATES + "2400,-1,1\n", "line 5, column requests_per_s: '-1' is not a number of requests a second"),
    ("no steps", RATES.splitlines()[0], "there are no steps in it"),
    ("requests", AZURE, "holds requests and no rates; give it by --trace"),
    ("a header", "a,b\n", "none of the headers that are known; it must begin with start_s"),
    ("no answer", '{"status": "error", "error": "bad query"}', "Prometheus refused the query: bad query"),
    ("an instant", '[{"metric": {}, "value": [1, "2"]}]', "a series without values"),
    ("one point", '[{"metric": {}, "values": [[1, "2"]]}]', "holds 1 points in time"),
    ("no rates", '[{"metric": {}, "values": [[1, "0"], [61, "0"]]}]', "no requests in the answer"),
    ("below zero", '[{"metric": {}, "values": [[1, "2"], [61, "-3"]]}]', "-3 requests a second at 61"),
    ("no number", '[{"metric": {}, "values": [[1, "2"], [61, "x"]]}]', "is no pair of a time and a number"),
    ("no JSON", "[", "is no JSON"),
]


@pytest.mark.parametrize(("text", "told"), [row[1:] for row in BROKEN_RATES], ids=[row[0] for row in BROKEN_RATES])
def test_what_is_broken_in_rates_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(BadTrace) as raised:
        kinds.steps(path)
    assert told in str(raised.value) and str(path) in str(raised.value)


def test_a_file_that_is_cut_off_or_no_text_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "trace.gz"
    rows = "".join(f"2023-11-16 18:17:09,{at},{at * at % 1009}\n" for at in range(5000))
    path.write_bytes(gzip.compress((AZURE + rows).encode())[:-200])
    with pytest.raises(BadTrace, match=r"cannot be read: .*; fetch the file anew"):
        list(kinds.requests(path)())
    path.write_bytes(AZURE.encode() + b"\xff\xfe\xfa")
    with pytest.raises(BadTrace, match=r"line [1-5]: is not text in UTF-8"):
        list(kinds.requests(path)())
    with pytest.raises(BadTrace, match="name a file that can be read"):
        kinds.kind_of(tmp_path / "none")
