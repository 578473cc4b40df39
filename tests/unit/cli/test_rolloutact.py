"""The actions: what each acts on in which phase, what is refused and not written, and how one is waited for."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.api.rollout import ACTION
from inferops.api.rolloutstatus import Phase
from inferops.cli.access import Unreachable
from inferops.cli.rolloutact import ACTIONS, Action, Refused, ask, intent, value
from inferops.cli.rolloutstate import Code
from inferops.controller.parents import KEPT
from inferops.kube.client import KubeError
from inferops.kube.owned import Object
from unit.cli.scenes import (
    BAD,
    NEW,
    OBSERVING,
    OLD,
    PROMOTED,
    FakeClient,
    gated,
    loading,
    observing,
    parsed,
    paused,
    retaining,
    rolled_back,
    service,
)
from unit.kube.virtualtime import now, run

RETAINING = service(retaining(), **PROMOTED)
WAVES = {"phase": "Baking", "version": "0ddba11000", "wave": 1, "waves": 3}
BAKING = service(observing(phase="Promoting"), placement={"rollout": WAVES})
COLD = service(retaining(phase="Succeeded", rollback={"to": OLD, "ready": "Cold"}), **PROMOTED)
SHAPE = re.compile("(promote|pause|resume|abort|retry)@[0-9a-z]{1,16}/[0-9a-z]{1,32}")


@pytest.mark.parametrize(
    ("case", "action", "raw", "revision", "will"),
    [
        ("a canary is promoted", "promote", service(OBSERVING), NEW, "gets all requests as soon as"),
        ("... also while it loads", "promote", service(loading()), NEW, "gets all requests as soon as"),
        ("... and from a pause at the end", "promote", service(paused(phase="Promoting")), NEW, "all requests"),
        ("a wave that bakes", "promote", BAKING, NEW, "wave 1 of 3 is watched no longer: the next one begins"),
        ("a canary is paused", "pause", service(OBSERVING), NEW, f"revision {NEW} keeps its share"),
        ("a pause ends", "resume", service(paused()), NEW, "goes on where it was paused"),
        ("a manual gate opens", "resume", service(gated()), NEW, f"the gate owner opens for revision {NEW}"),
        ("a canary is aborted", "abort", service(OBSERVING), NEW,
         f"{NEW} is rolled back and not tried again by itself; revision {OLD} serves again"),
        ("... the very first one too", "abort", service(loading(stable="")), NEW, "nothing serves, as before it"),
        ("a promotion is undone at once", "abort", RETAINING, NEW, f"goes back at once to revision {OLD}"),
        ("... or once it has loaded", "abort", COLD, NEW, f"goes back once its replicas have loaded to revision {OLD}"),
        ("what the spec asks for is tried again", "retry", service(rolled_back()), NEW, "rolled out anew"),
        ("... though another was rejected later", "retry", service(rolled_back(), latestRevision=BAD), BAD, "anew"),
        ("else the one rejected last", "retry", service(rolled_back(), latestRevision=OLD), NEW,
         f"may be rolled out again; the spec asks for {OLD}, so nothing begins by that"),
        ("... also while another is under way", "retry", service(OBSERVING), BAD, "may be rolled out again"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_it_acts_on(case: str, action: Action, raw: Object, revision: str, will: str) -> None:
    found = intent(action, parsed(raw))
    assert found.revision == revision and will in found.will
    assert intent(action, parsed(raw), revision) == found, "named, it is the same"


@pytest.mark.parametrize(
    ("case", "action", "raw", "asked", "why"),
    [
        ("no rollout at all", "promote", service({}), "", f"no rollout is under way (phase Idle); revision {OLD}"),
        ("... nor a service", "pause", {**service(), "status": {}}, "", "no rollout is under way (phase Idle)"),
        ("it has ended well", "promote", RETAINING, "", f"no rollout is under way (phase Retaining); revision {NEW}"),
        ("it was rolled back", "promote", service(rolled_back()), "", f"revision {NEW} was rolled back; revision"),
        ("it is being rolled back", "abort", service(observing(phase="RollingBack")), "", "being rolled back already"),
        ("it is being promoted", "promote", service(observing(phase="Promoting")), "", "being promoted already"),
        ("it is paused", "pause", service(paused()), "", "paused already, for NoData; `resume` goes on"),
        ("it is not paused", "resume", service(OBSERVING), "", "is not paused, and waits for no manual gate"),
        ("nothing to go back to", "abort", service(retaining(previous=""), **PROMOTED), "", "no previous one is kept"),
        ("nothing was rejected", "retry", service(loading()), "", "no revision was rejected"),
        ("too early", "retry", service(observing(phase="RollingBack")), "", "still being rolled back"),
        ("one that is under way", "retry", service(OBSERVING), NEW, f"not among the rejected ones, {BAD}"),
        ("another canary by now", "promote", service(OBSERVING), "c0ffee0000", f"the one to promote is {NEW}"),
        ("the stable one", "abort", service(OBSERVING), OLD, f"cannot abort revision {OLD}: the one to abort is {NEW}"),
        ("the previous one", "abort", RETAINING, OLD, f"the one to abort is {NEW}"),
        ("nonsense", "abort", service(OBSERVING), "a91c/../x", "'a91c/../x' is no hash of a revision"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_has_nothing_to_act_on_is_refused_and_nothing_is_written(
    case: str, action: Action, raw: Object, asked: str, why: str
) -> None:
    client = FakeClient(raw)
    with pytest.raises(Refused, match=re.escape(why)):
        run(ask(client, action, "llama", "chat", asked, None))
    assert client.written == []


@given(st.sampled_from(ACTIONS), st.sampled_from(get_args(Phase)), st.booleans(), st.sampled_from(["", NEW, OLD, BAD]))
def test_in_every_phase_an_action_is_refused_or_well_formed(
    action: Action, phase: Phase, rests: bool, asked: str
) -> None:
    rollout = paused(phase=phase, previous=OLD) if rests else observing(phase=phase, previous=OLD)
    try:
        found = intent(action, parsed(service(rollout)), asked)
    except Refused as error:
        assert str(error)
        return
    assert found.action == action and found.will and asked in ("", found.revision)
    assert SHAPE.fullmatch(value(found)) and len(value(found)) < KEPT[ACTION]


def test_every_request_is_another_one() -> None:
    found = intent("abort", parsed(service(OBSERVING)))
    assert value(found, 0).startswith(f"abort@{NEW}/0") and value(found, 36**5).startswith(f"abort@{NEW}/100000")
    assert len({value(found, 1_762_171_200.0) for _ in range(20)}) > 1, "also within one second"


def test_without_wait_it_is_asked_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient(service(OBSERVING))
    assert run(ask(client, "abort", "llama", "chat", "", None)) is Code.ENDED
    assert len(client.written) == 1 and client.reads == 1
    told = capsys.readouterr()
    assert told.out == (
        f"asked to abort: revision {NEW} is rolled back and not tried again by itself; revision {OLD} serves again\n"
        "follow it: inferops rollout status llama -n chat --watch\n"
    )
    assert told.err == ""


def test_an_operator_that_is_away_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ask(FakeClient(service(OBSERVING, generation=3)), "pause", "llama", "chat", "", None)) is Code.ENDED
    assert "has not judged the newest spec yet; it carries this out once it is back" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("case", "action", "before", "revisions", "told"),
    [
        ("aborted at once", "abort", OBSERVING, {NEW: 0, OLD: 100},
         f"aborted: revision {NEW} gets no requests any more; {OLD} serves\nphase RollingBack: as asked"),
        ("aborted bit by bit", "abort", OBSERVING, {NEW: 25, OLD: 75},
         f"aborted: revision {NEW} still gets 25% of requests, which go to the other as it can carry them; {OLD}"),
        ("promoted", "promote", OBSERVING, {NEW: 50, OLD: 50},
         f"promoted: revision {NEW} gets 50% of requests, and all once its replicas are ready"),
        ("paused", "pause", OBSERVING, {NEW: 25, OLD: 75}, f"paused: revision {NEW} keeps 25% of requests"),
        ("resumed", "resume", paused(), {NEW: 25, OLD: 75}, f"resumed: revision {NEW} gets 25% of requests"),
        ("taken off the list", "retry", rolled_back(), {OLD: 100}, f"revision {NEW} is no longer rejected"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_waiting_ends_once_the_operator_tells_that_it_acted(
    case: str, action: Action, before: Any, revisions: dict[str, int], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shares = [{"name": f"llama-{hash_}", "hash": hash_, "role": "Stable", "weight": weight}
              for hash_, weight in revisions.items()]  # fmt: skip

    def acts(client: FakeClient) -> None:
        if client.reads == 5:
            client.raw = {**(client.raw or {}), "status": {**(client.raw or {})["status"], "revisions": shares}}
            client.set(phase="RollingBack", message="as asked", handled=[*client.written, "pause@x/older"])

    client = FakeClient(service(before))
    client.then = acts

    async def asked() -> float:
        assert await ask(client, action, "llama", "chat", "", 60) is Code.ENDED
        return now()

    assert run(asked()) == 1.5, "it looks twice a second"
    assert told in capsys.readouterr().out


def ignored(**rollout: Any) -> FakeClient:
    """A cluster in which the rollout is otherwise by the third look."""
    client = FakeClient(service(OBSERVING))
    client.then = lambda client: client.set(**rollout) if client.reads == 3 else None
    return client


def replaced(annotations: dict[str, str] | None, **meta: str) -> FakeClient:
    def change(client: FakeClient) -> None:
        if client.reads == 3 and client.raw is not None:
            client.raw = {**client.raw, "metadata": {**client.raw["metadata"], "annotations": annotations, **meta}}

    client = FakeClient(service(OBSERVING))
    client.then = change
    return client


@pytest.mark.parametrize(
    ("case", "client", "why"),
    [
        ("another canary came", ignored(canary="c0ffee0000"), f"cannot pause revision {NEW}: the one to pause is c0"),
        ("it was rolled back", ignored(phase="RolledBack"), "no rollout is under way (phase RolledBack)"),
        ("another request came", replaced({ACTION: "abort@x/1"}), "another request came, abort@x/1 before the"),
        ("the request was taken away", replaced({}), "somebody took the annotation away"),
        ("another service has its name", replaced({}, uid="uid-2"), "another one has its name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_waiting_ends_once_it_can_no_longer_be_carried_out(case: str, client: FakeClient, why: str) -> None:
    with pytest.raises(Refused, match=re.escape(why)):
        run(ask(client, "pause", "llama", "chat", "", 60))


def test_waiting_ends_in_time_where_no_operator_runs(capsys: pytest.CaptureFixture[str]) -> None:
    async def asked() -> float:
        assert await ask(FakeClient(service(OBSERVING)), "pause", "llama", "chat", "", 60) is Code.UNDER_WAY
        return now()

    assert run(asked()) == 60
    assert "not carried out within 60 s: see whether the operator runs" in capsys.readouterr().err


def test_an_api_server_that_is_away_for_a_while_is_waited_for() -> None:
    def away(client: FakeClient) -> None:
        client.fails = KubeError("get", 0, "ClientConnectorError", "refused") if 2 <= client.reads <= 5 else None
        if client.reads == 6:
            client.set(handled=client.written)

    client = FakeClient(service(OBSERVING))
    client.then = away
    assert run(ask(client, "pause", "llama", "chat", "", 60)) is Code.ENDED


@pytest.mark.parametrize(
    ("error", "kind"),
    [(KubeError("get", 403, "Forbidden", "no"), KubeError), (None, Unreachable)],
    ids=["refused meanwhile", "deleted meanwhile"],
)
def test_waiting_ends_where_nothing_can_be_seen_any_more(error: KubeError | None, kind: type[Exception]) -> None:
    def gone(client: FakeClient) -> None:
        if client.reads == 3:
            client.fails, client.raw = error, None

    client = FakeClient(service(OBSERVING))
    client.then = gone
    with pytest.raises(kind):
        run(ask(client, "pause", "llama", "chat", "", 60))
