"""The commands as they are typed, against an API server on loopback: what is sent, what is printed, how they exit."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from inferops.api.rollout import ACTION
from inferops.cli.main import app
from inferops.cli.rollouthistory import show
from inferops.kube.owned import Object
from unit.cli.scenes import (
    BAD,
    NEW,
    NOW,
    OBSERVING,
    OLD,
    PROMOTED,
    parsed,
    paused,
    retaining,
    rolled_back,
    service,
)
from unit.cli.serving import PODS, SERVICES, Server, kubeconfig, said


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def typed(server: Server, tmp_path: Path) -> Any:
    """Run a command as it is typed after `inferops`."""
    file = kubeconfig(tmp_path, server.server_address[1])
    return lambda *args: CliRunner().invoke(app, [*args, "-n", "chat", "--kubeconfig", str(file)])


def test_status_is_a_tree_without_colours_in_a_pipe(server: Server, typed: Any) -> None:
    result = typed("rollout", "status", "llama")
    told = said(result)
    assert result.exit_code == 4 and "\x1b" not in told
    assert told.startswith(f"Rollout of chat/llama  revision {NEW} to replace {OLD}  (surge)\n")
    assert f"{OLD}  Stable  75% of requests" in told and "llama-5f0-1  ready  on gpu-1" in told
    assert server.writes == []


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (service(retaining(), **PROMOTED), 0),
        (service(rolled_back()), 1),
        (service(paused()), 3),
        (service(OBSERVING), 4),
    ],
    ids=["ended", "rolled back", "paused", "under way"],
)
@pytest.mark.parametrize("way", [(), ("--json",), ("--watch", "--timeout", "0"), ("-w", "--json", "--timeout", "0")])
def test_every_way_to_show_it_exits_by_how_it_stands(
    server: Server, typed: Any, raw: Object, expected: int, way: tuple[str, ...]
) -> None:
    server.service = raw
    result = typed("rollout", "status", "llama", *way)
    told = said(result)
    assert result.exit_code == expected
    if "--json" in way:
        assert json.loads(told)["rollout"]["phase"] == raw["status"]["rollout"]["phase"]


def test_an_action_is_one_merge_patch_of_one_annotation_by_a_manager_of_its_own(server: Server, typed: Any) -> None:
    result = typed("rollout", "abort", "llama", "--wait")
    told = said(result)
    (patch,) = server.writes
    assert result.exit_code == 0 and f"asked to abort: revision {NEW} is rolled back" in told
    assert f"aborted: revision {NEW} still gets 25% of requests" in told and "phase Observing" in told
    assert (patch.verb, patch.path, patch.type) == ("PATCH", f"{SERVICES}/llama", "application/merge-patch+json")
    assert patch.query == {"fieldManager": ["inferops-cli"]}
    assert set(patch.body) == {"metadata"} and set(patch.body["metadata"]) == {"uid", "annotations"}
    (asked,) = patch.body["metadata"]["annotations"].items()
    assert asked[0] == ACTION and asked[1].startswith(f"abort@{NEW}/")


@pytest.mark.parametrize("action", ["promote", "pause", "abort"])
def test_each_action_without_waiting(server: Server, typed: Any, action: str) -> None:
    server.operator = False
    result = typed("rollout", action, "llama", "--revision", NEW)
    assert result.exit_code == 0 and said(result).startswith(f"asked to {action}: revision {NEW}")
    assert server.writes[0].body["metadata"]["annotations"][ACTION].startswith(f"{action}@{NEW}/")


def test_waiting_for_an_operator_that_is_away_ends(server: Server, typed: Any) -> None:
    server.operator = False
    result = typed("rollout", "pause", "llama", "--wait", "--timeout", "0.01")
    assert result.exit_code == 4 and "see whether the operator runs" in said(result)


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("resume", "llama"), f"cannot resume: the rollout of revision {NEW} is not paused"),
        (("retry", "llama", "--revision", OLD), f"cannot retry revision {OLD}: it is not among the rejected ones"),
        (("abort", "llama", "--revision", "no such thing"), "'no such thing' is no hash of a revision"),
        (("abort", "other"), "there is no InferenceService other in namespace chat"),
        (("status", "other"), "there is no InferenceService other in namespace chat"),
        (("status", "other", "--watch"), "there is no InferenceService other in namespace chat"),
        (("history", "other"), "there is no InferenceService other in namespace chat"),
        (("status", "../../pods/x"), "NAME '../../pods/x': must be lower-case letters"),
        (("status", "x" * 64), "must be lower-case letters"),
        (("status", "llama", "--timeout", "5"), "goes with --watch only"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_is_refused_and_writes_nothing(
    server: Server, typed: Any, args: tuple[str, ...], why: str
) -> None:
    result = typed("rollout", *args)
    assert result.exit_code == 2 and why in " ".join(said(result).split())
    assert server.writes == []


FORBIDDEN = (403, {"reason": "Forbidden", "message": 'User "me" cannot do that \x1b[2J'})


@pytest.mark.parametrize(
    ("case", "refuses", "args", "why"),
    [
        ("reading", {"GET": FORBIDDEN}, ("status", "llama"), 'you may not: User "me" cannot do that  [2J; ask the'),
        ("reading the history", {"GET": FORBIDDEN}, ("history", "llama"), "you may not"),
        ("acting", {"PATCH": FORBIDDEN}, ("abort", "llama"), "you may not"),
        ("nobody", {"GET": (401, {"message": "Unauthorized"})}, ("status", "llama"), "does not know you"),
        ("a namesake", {"PATCH": (409, {"reason": "Conflict", "message": "uid"})}, ("abort", "llama"), "Conflict: uid"),
        ("something else", {"GET": (200, b"<html>")}, ("status", "llama"), "does not answer: the answer is not"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_an_api_server_that_refuses(
    server: Server, typed: Any, case: str, refuses: Any, args: tuple[str, ...], why: str
) -> None:
    server.refuses = refuses
    result = typed("rollout", *args)
    assert result.exit_code == 2 and why in said(result)
    assert said(result).startswith("InferenceService chat/llama: ")


@pytest.mark.parametrize("command", [("rollout", "status"), ("status",)])
def test_who_may_not_see_the_pods_sees_the_rest(server: Server, typed: Any, command: tuple[str, ...]) -> None:
    server.refuses = {PODS: FORBIDDEN}
    told = said(typed(*command, "llama"))
    assert f"{OLD}  Stable" in told and "llama-5f0-1" not in told
    assert 'its pods are not shown: User "me" cannot do that  [2J' in told


def test_acting_takes_no_right_to_see_the_pods(server: Server, typed: Any) -> None:
    assert typed("rollout", "abort", "llama", "--wait").exit_code == 0
    assert typed("rollout", "history", "llama").exit_code == 0
    assert PODS not in {request.path for request in server.requests}


@pytest.mark.parametrize(
    ("case", "status", "why"),
    [
        ("a phase of a newer version", {"rollout": {"phase": "Levitating"}}, "status.rollout.phase: Input should be"),
        ("not even an object", {"rollout": []}, "status.rollout: Input should be"),
        ("a weight of nonsense", {"rollout": {"weight": 400}}, "status.rollout.weight: Input should be less than"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_status_that_cannot_be_read(server: Server, typed: Any, case: str, status: Any, why: str) -> None:
    server.service = {**service(), "status": status}
    for args in (("rollout", "status"), ("rollout", "abort"), ("rollout", "history")):
        result = typed(*args, "llama")
        assert result.exit_code == 2 and f"this version of inferops cannot read the resource: {why}" in said(result)
    assert typed("status", "llama").exit_code == 2


@pytest.mark.parametrize("command", [("rollout", "status"), ("rollout", "pause"), ("rollout", "history"), ("status",)])
def test_a_server_that_is_not_there(tmp_path: Path, command: tuple[str, ...]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        file = kubeconfig(tmp_path, unused.getsockname()[1])
        result = CliRunner().invoke(app, [*command, "llama", "--kubeconfig", str(file)])
    assert result.exit_code == 2
    assert "InferenceService default/llama: the API server does not answer" in said(result)


@pytest.mark.parametrize("content", [None, "", "]:[", "clusters: 5", "contexts: [{}]\ncurrent-context: x"])
def test_a_kubeconfig_that_is_none(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "kubeconfig"
    if content is not None:
        file.write_text(content)
    result = CliRunner().invoke(app, ["rollout", "status", "llama", "--kubeconfig", str(file)])
    assert (
        result.exit_code == 2
        and f"kubeconfig {file}: " in said(result)
        and "--kubeconfig or KUBECONFIG" in said(result)
    )


def test_history_is_a_table(server: Server, typed: Any) -> None:
    server.service = service(rolled_back())
    result = typed("rollout", "history", "llama")
    told = said(result)
    assert result.exit_code == 0 and "\x1b" not in told
    assert not any(row.endswith(" ") for row in told.splitlines())
    assert told.split()[:7] == ["ENDED", "REVISION", "REPLACING", "OUTCOME", "REASON", "TOOK", "MESSAGE"]
    assert told.endswith("try one again: inferops rollout retry llama -n chat --revision REVISION\n")


def test_the_table_tells_when_what_and_why() -> None:
    out = io.StringIO()
    show(parsed(service(rolled_back())), Console(file=out, width=120), NOW, as_json=False)
    assert [" ".join(line.split()) for line in out.getvalue().splitlines()] == [
        "ENDED REVISION REPLACING OUTCOME REASON TOOK MESSAGE",
        f"1m ago {NEW} {OLD} RolledBack HarmShown 8m errorRate: 40/120 bad of the canary, 2/400 of stable",
        f"1d 5h ago {OLD} {BAD} Promoted 1h",
        "",
        "rejected: not tried again by themselves",
        "SINCE REVISION REASON MESSAGE",
        f"1m ago {NEW} HarmShown errorRate: 40/120 bad of the canary, 2/400 of stable",
        f"1d 2h ago {BAD} CrashLoop pod llama-x: 3 restarts",
        "try one again: inferops rollout retry llama -n chat --revision REVISION",
    ]


def test_history_of_nothing_and_as_json(server: Server, typed: Any) -> None:
    server.service = service({})
    assert said(typed("rollout", "history", "llama")) == "no rollout has ended yet\n"
    server.service = service(rolled_back())
    told = json.loads(said(typed("rollout", "history", "llama", "--json")))
    assert [each["outcome"] for each in told["history"]] == ["RolledBack", "Promoted"]
    assert [each["hash"] for each in told["rejected"]] == [NEW, "b00b1e5000"]


def test_help_tells_the_exit_codes() -> None:
    told = CliRunner().invoke(app, ["rollout", "status", "--help"]).output
    for line in ("0: it has ended well", "1: rolled back", "2: an error", "3: it waits for somebody", "4: under way"):
        assert line in told
    assert "4: not carried out in time" in CliRunner().invoke(app, ["rollout", "retry", "--help"]).output
