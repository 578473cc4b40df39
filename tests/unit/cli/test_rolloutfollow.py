"""A rollout that is followed: until it ends, over an API server that goes away, and no longer than asked."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from rich.console import Console
from rich.live import Live

from inferops.cli.access import Shown, Unreachable
from inferops.cli.rolloutfollow import Documents, Lines, Picture, Screen, document, follow, show_once
from inferops.cli.rolloutstate import Code
from inferops.controller.views import pod_view
from inferops.kube.client import KubeError
from unit.cli.scenes import (
    NEW,
    NOW,
    OBSERVING,
    OLD,
    PROMOTED,
    FakeClient,
    loading,
    observing,
    parsed,
    paused,
    pod,
    retaining,
    rolled_back,
    service,
    shown,
    valid,
)
from unit.kube.virtualtime import now, run

AWAY = KubeError("get InferenceService chat/llama", 0, "ClientConnectorError", "refused")


def clock() -> datetime:
    return NOW + timedelta(seconds=now())


class Seen:
    """A screen that remembers when it showed what."""

    def __init__(self) -> None:
        self.shown: list[tuple[float, str, str]] = []

    def show(self, shown: Shown, problem: str, now: datetime) -> None:
        self.shown.append(((now - NOW).total_seconds(), shown.service.status.rollout.phase, problem))


def script(*steps: tuple[int, Callable[[FakeClient], None]]) -> FakeClient:
    """A cluster in which something happens at the n-th look; one look a second."""
    client = FakeClient(service(OBSERVING))
    plan = dict(steps)
    client.then = lambda client: plan.get(client.reads, lambda client: None)(client)
    return client


def becomes(raw: Any) -> Callable[[FakeClient], None]:
    return lambda client: setattr(client, "raw", raw)


def fails(error: KubeError | None) -> Callable[[FakeClient], None]:
    return lambda client: setattr(client, "fails", error)


def followed(client: FakeClient, screen: Screen, limit: float | None = None) -> tuple[Code, float]:
    """The exit code, and after how many seconds."""

    async def main() -> tuple[Code, float]:
        return await follow(client, "chat", "llama", screen, limit, clock), now()

    return run(main())


@pytest.mark.parametrize(
    ("case", "end", "expected"),
    [
        ("promoted", service(retaining(), **PROMOTED), Code.ENDED),
        ("rolled back", service(rolled_back()), Code.ROLLED_BACK),
        ("a spec that cannot be served", service(conditions=[{"type": "Valid", "status": "False", "reason": "X",
                                                              "lastTransitionTime": ""}]), Code.ERROR),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_it_is_followed_until_it_ends(case: str, end: Any, expected: Code) -> None:
    seen = Seen()
    code, after = followed(script((5, becomes(service(paused()))), (9, becomes(end))), seen)
    assert (code, after) == (expected, 8.0)
    times = [at for at, _, _ in seen.shown]
    assert max(b - a for a, b in pairwise(times)) <= 0.5, "clocks count on the screen"
    assert seen.shown[-1][1] == end["status"]["rollout"].get("phase", "Idle")


@pytest.mark.parametrize(
    ("case", "raw", "expected"),
    [("under way", service(OBSERVING), Code.UNDER_WAY), ("paused", service(paused()), Code.WAITS)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_ends_when_its_time_is_over_and_says_how_things_stand(case: str, raw: Any, expected: Code) -> None:
    client = FakeClient(raw)
    assert followed(client, Seen(), 10.25) == (expected, 10.25)
    assert client.reads <= 12


def test_what_has_ended_is_shown_once() -> None:
    client = FakeClient(service(retaining(), **PROMOTED))
    assert followed(client, seen := Seen()) == (Code.ENDED, 0.0)
    assert len(seen.shown) == client.reads == 1


def test_an_api_server_that_goes_away_is_waited_for_and_told_of() -> None:
    seen = Seen()
    client = script((3, fails(AWAY)), (9, fails(None)), (10, becomes(service(retaining(), **PROMOTED))))
    assert followed(client, seen) == (Code.ENDED, 9.0)
    problems = [(at, problem) for at, _, problem in seen.shown if problem]
    assert {problem for _, problem in problems} == {"this is of 12:00:01 UTC: the API server does not answer (refused)"}
    assert (problems[0][0], problems[-1][0]) == (2.0, 7.5)
    assert seen.shown[-1][2] == ""


def test_news_that_may_be_old_end_nothing() -> None:
    """The last that was seen is not the end of anything, while the API server is away."""
    client = script((2, fails(AWAY)))
    assert followed(client, Seen(), 30) == (Code.UNDER_WAY, 30.0)


@pytest.mark.parametrize(
    ("case", "change", "kind"),
    [
        ("forbidden from now on", fails(KubeError("get", 403, "Forbidden", "no")), KubeError),
        ("logged out", fails(KubeError("get", 401, "Unauthorized", "no")), KubeError),
        ("deleted", becomes(None), Unreachable),
        ("unreadable", becomes(service({"phase": "Levitating"})), Unreachable),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_will_not_pass_ends_it(case: str, change: Callable[[FakeClient], None], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        followed(script((3, change)), Seen())


def test_an_api_server_that_never_answered_is_not_waited_for() -> None:
    with pytest.raises(KubeError):
        followed(script((1, fails(AWAY))), Seen())


def printed(screen: Callable[[Console], Screen], client: FakeClient, limit: float | None = None) -> str:
    out = io.StringIO()
    followed(client, screen(Console(file=out, width=300, highlight=False, emoji=False)), limit)
    return out.getvalue()


def test_a_pipe_gets_a_line_whenever_something_changed() -> None:
    client = script(
        (1, becomes(service(loading(message="0 of 1 [x]\x1b[2J replicas ready")))),
        (4, becomes(service(OBSERVING, generation=3))),
        (6, fails(AWAY)),
        (7, fails(None)),
        (8, becomes(service(paused(analysis={})))),
        (9, becomes(service(retaining(), **PROMOTED))),
    )
    told = printed(Lines, client).splitlines()
    assert told[0] == f"12:00:00  Loading, 3 steps, revision {NEW} gets 0% of requests: 0 of 1 [x] [2J replicas ready"
    assert (
        told[1].startswith("12:00:03  Observing, step 2 of 3 (25%)") and "tpot NotJudged (of an older spec)" in told[1]
    )
    assert told[2] == ("12:00:05  this is of 12:00:04 UTC: the API server does not answer (refused)")
    assert told[3].endswith(
        f"paused, step 2 of 3 (25%), revision {NEW} gets 25% of requests: no requests of the canary for 30m"
    )
    assert told[4:] == ["12:00:08  Retaining"]


def test_a_pipe_is_told_why_a_spec_cannot_be_served() -> None:
    refused = [valid("False", "spec.accelerators[0].type: no Accelerator 'x'")]
    told = printed(Lines, script((3, becomes(service(loading(message="it loads"), conditions=refused))))).splitlines()
    assert told[-1].endswith(
        "of requests: it loads: the newest spec cannot be served: spec.accelerators[0].type: no Accelerator 'x'"
    )


def test_json_is_a_document_a_line_whenever_something_changed() -> None:
    told = printed(Documents, script((3, becomes(service(retaining(), **PROMOTED))))).splitlines()
    first, last = (json.loads(line) for line in told)
    assert (first["rollout"]["phase"], first["exitCode"], first["canaryWeight"]) == ("Observing", 4, 25)
    assert (last["rollout"]["phase"], last["exitCode"], last["stableRevision"]) == ("Retaining", 0, NEW)


def test_a_terminal_gets_the_tree_in_its_place() -> None:
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True, highlight=False, emoji=False)
    with Live(console=console, auto_refresh=False) as live:
        followed(script((3, becomes(service(retaining(), **PROMOTED)))), Picture(live))
    drawn = out.getvalue()
    assert "3m 12s" in drawn and "3m 13s" in drawn and "3m 14s" in drawn, "its clocks count"
    assert drawn.rstrip().endswith("kept for another 23h") or "kept for another 22h 59m" in drawn
    assert "\x1b[1A" in drawn, "drawn anew in its place"


def test_once_it_is_a_tree_or_a_document() -> None:
    out = io.StringIO()
    console = Console(file=out, width=200, highlight=False, emoji=False)
    assert show_once(shown(service(OBSERVING)), console, False, lambda: NOW) is Code.UNDER_WAY
    assert out.getvalue().startswith("Rollout of chat/llama  revision a91c22d07b to replace 5f0d3a91c2")
    out.seek(0)
    out.truncate()
    assert show_once(shown(service(paused())), console, True, lambda: NOW) is Code.WAITS
    assert json.loads(out.getvalue())["rollout"]["paused"]["reason"] == "NoData"


def test_the_document_has_what_scripts_need() -> None:
    raw = service(observing(), generation=3)
    told = document(Shown(parsed(raw), [pod_view(pod("llama-a91-1", NEW)), pod_view(pod("llama-5f0-1", OLD))]))
    assert json.loads(json.dumps(told)) == told
    assert {key: told[key] for key in ("name", "namespace", "generation", "observedGeneration", "exitCode")} == {
        "name": "llama", "namespace": "chat", "generation": 3, "observedGeneration": 2, "exitCode": 4,
    }  # fmt: skip
    assert told["revisions"][1]["pods"] == [{"name": "llama-a91-1", "node": "gpu-1", "ready": True, "restarts": 0}]
    assert told["revisions"][1]["desiredWeight"] == 25
    assert told["rollout"]["analysis"]["metrics"][0]["canary"] == {"bad": 3, "total": 1204}
