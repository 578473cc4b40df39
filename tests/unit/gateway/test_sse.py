"""Whole events go on unchanged and at once, whatever pieces they come in; token counts are read, and kept if ours."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.gateway.proxy import sse
from inferops.gateway.proxy.sse import Events, tokens_of

COUNTS = {"prompt_tokens": 7, "completion_tokens": 2}
ENDS = st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n"])


def chunk(text):
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}, separators=(",", ":")).encode()


USAGE = b"data: " + json.dumps({"choices": [], "usage": COUNTS}).encode()
BODIES = st.one_of(
    st.text().map(chunk),
    st.sampled_from(
        [
            USAGE,
            b"data: [DONE]",
            b": ping",
            b"event: message\ndata: {}",
            b'data: {"error":{"type":"BadRequestError","message":"no"}}',
            b'data: {"choices":[{"delta":{}}],"usage":null}',
            b'data: {"usage": broken',
            chunk('"usage" and "error" and [DONE]'),
        ]
    ),
)
STREAMS = st.lists(st.tuples(BODIES, ENDS).map(b"".join), max_size=12)


def passed(pieces, strip=True):
    events = Events(strip)
    out = [events.feed(piece) for piece in pieces]
    return b"".join([*out, events.rest()]), events


def split(data, cuts):
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(STREAMS, st.lists(st.integers(min_value=0), max_size=30), st.booleans())
def test_the_result_does_not_depend_on_how_the_bytes_come(events: Any, cuts: Any, strip: bool) -> None:
    data = b"".join(events)
    once, one = passed([data], strip)
    often, many = passed(split(data, cuts), strip)
    assert often == once
    for name in ("tokens_in", "tokens_out", "error", "done", "events"):
        assert getattr(many, name) == getattr(one, name)


@given(STREAMS, st.lists(st.integers(min_value=0), max_size=30))
def test_only_the_event_with_nothing_but_counts_is_left_out(events: Any, cuts: Any) -> None:
    data = b"".join(events)
    assert passed(split(data, cuts), strip=False)[0] == data
    assert passed(split(data, cuts))[0] == b"".join(event for event in events if not event.startswith(USAGE))


@given(STREAMS)
def test_a_whole_event_never_waits(events: Any) -> None:
    stream = Events()
    for event in events:
        assert stream.feed(event) == event


@settings(max_examples=20)
@given(st.lists(st.integers(min_value=0), max_size=6), st.integers(min_value=-3, max_value=3))
def test_an_event_that_is_too_long_passes_as_it_comes(cuts: Any, over: int) -> None:
    padding = b"x" * (sse.LONGEST + over - len(USAGE) - len(b'data: ""\n\n'))
    data = chunk("a") + b"\n\n" + USAGE + b'\ndata: "%b"\n\n' % padding + chunk("b") + b"\n\n"
    out, events = passed(split(data, cuts))
    assert (out, events.events) == (data, 3)


def test_the_beginning_of_an_event_is_held_back() -> None:
    events = Events()
    assert events.feed(chunk("a") + b"\n\ndata: {") == chunk("a") + b"\n\n"
    assert not events.open
    assert events.rest() == b"data: {"


@pytest.mark.parametrize(
    ("case", "data", "counts"),
    [
        ("of a chat", {"usage": COUNTS}, (7, 2)),
        (
            "of a response",
            {"type": "response.completed", "response": {"usage": {"input_tokens": 3, "output_tokens": 4}}},
            (3, 4),
        ),
        ("of a message", {"type": "message_start", "message": {"usage": {"input_tokens": 5}}}, (5, None)),
        ("none are told", {"choices": [], "usage": None}, (None, None)),
        ("no numbers", {"usage": {"prompt_tokens": "7", "completion_tokens": True}}, (None, None)),
        ("below zero", {"usage": {"prompt_tokens": -1, "completion_tokens": 2}}, (None, 2)),
        ("no object", ["usage"], (None, None)),
    ],
)
def test_token_counts(case: str, data: Any, counts: Any) -> None:
    _, events = passed([b"data: " + json.dumps(data).encode() + b"\n\n"])
    assert (events.tokens_in, events.tokens_out) == counts


def test_later_counts_replace_earlier_ones_and_leave_the_others() -> None:
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}}
    delta = {"type": "message_delta", "usage": {"output_tokens": 9}}
    _, events = passed([b"data: " + json.dumps(each).encode() + b"\n\n" for each in (start, delta)])
    assert (events.tokens_in, events.tokens_out) == (5, 9)


@pytest.mark.parametrize(
    ("case", "answer", "counts"),
    [
        ("a chat", {"choices": [{"message": {"content": "hi"}}], "usage": COUNTS, "prompt_logprobs": None}, (7, 2)),
        ("an embedding", {"data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 4, "total_tokens": 4}}, (4, None)),
        ("the word in the answer", {"usage": COUNTS, "choices": [{"token": "usage", "text": '"usage": {}'}]}, (7, 2)),
        ("null", {"usage": None}, (None, None)),
        ("nothing", {"choices": []}, (None, None)),
    ],
)
def test_token_counts_of_a_whole_answer(case: str, answer: Any, counts: Any) -> None:
    for separators in ((",", ":"), (", ", " : ")):
        assert tokens_of(json.dumps(answer, separators=separators).encode()) == counts


def test_an_answer_that_breaks_off_has_no_counts() -> None:
    assert tokens_of(b'{"usage": {"prompt_tokens": 7') == (None, None)
    assert tokens_of(b'{"usage"') == (None, None)
