"""The tree of a rollout: what it says in each phase, whatever stands in the status."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from inferops.api.rolloutstatus import Phase, RolloutStatus
from inferops.cli.access import Shown
from inferops.cli.rollouttree import figure, tree
from inferops.controller.views import pod_view
from inferops.kube.owned import Object
from unit.cli.scenes import (
    BAD,
    NEW,
    NOW,
    OBSERVING,
    OLD,
    PROMOTED,
    at,
    gated,
    loading,
    metric,
    observing,
    parsed,
    paused,
    pod,
    retaining,
    rolled_back,
    service,
    shown,
    text,
    valid,
)


def lines(raw: Object, *pods: Object, problem: str = "") -> list[str]:
    """The tree's lines without its branches."""
    drawn = tree(Shown(parsed(raw), [pod_view(each) for each in pods]), NOW, problem)
    return [line.lstrip("│├└─ ").rstrip() for line in text(drawn).splitlines()]


def test_a_canary_under_analysis_shows_all_of_its_evidence() -> None:
    assert lines(service(OBSERVING), pod("llama-5f0-1", OLD), pod("llama-a91-1", NEW)) == [
        "Rollout of chat/llama  revision a91c22d07b to replace 5f0d3a91c2  (surge)",
        "Observing  step 2 of 3: 5%, >25%<, 50%  for 3m 12s  begun 9m ago",
        "Undecided: 25% reached; ttft is not decided yet",
        "canary a91c22d07b: 25% of requests (24% observed)",
        "revisions",
        "5f0d3a91c2  Stable  75% of requests (76% observed)  4/4 ready  1x nvidia-h100-80gb  vllm/vllm-openai:v0.11.0",
        "llama-5f0-1  ready  on gpu-1",
        "a91c22d07b  Canary  25% of requests (24% observed)  1/1 ready  1x nvidia-h100-80gb  vllm/vllm-openai:v0.11.0",
        "llama-a91-1  ready  on gpu-1",
        "analysis  Undecided  counted by gateway until 4s ago",
        "errorRate  NoWorse    canary 3/1204 bad (0.249%)  stable 9/3711 bad (0.243%)",
        "evidence: harm 0.42 of 100, no worse 3,400 of 100, dispersion 1",
        "ttft       Undecided  canary 61/1201 bad (5.08%)  stable 140/3702 bad (3.78%)",
        "evidence: harm 7.1 of 100, no worse 12.5 of 100, dispersion 1.31",
        "tpot       NotJudged  not judged: spec.slo.tpot is not set",
        "100 is enough: for harm on average over the metrics, for no worse in each of them",
        "gates",
        "smoke (job) before any request: Passed  exit code 0",
        "owner (manual) at 50%: to come",
        "rollback to 5f0d3a91c2: Instant  its 4 replicas are ready",
        "rejected, and not tried again by itself",
        "b00b1e5000 1d 2h ago  CrashLoop  pod llama-x: 3 restarts",
    ]


def deadline(**delta: float) -> Any:
    return service(loading(deadline=at(**delta)))


def analysed(e_value: float) -> Any:
    message = "worse at first, less so lately"
    found = metric("ttft", "Undecided", (1, 9), (1, 9), eValue=e_value, message=message)
    return observing(analysis={"metrics": [found]})


OOM = {"containerStatuses": [{"name": "engine", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                              "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]}  # fmt: skip


@pytest.mark.parametrize(
    ("case", "raw", "expected"),
    [
        ("a clock runs", service(loading()), "loading the model for 2m"),
        ("its deadline is told", service(loading()), "deadline: rolled back in 58m unless Loading is over by then"),
        ("a deadline that nobody acted on", deadline(seconds=-80),
         "deadline: over since 1m 20s; it is rolled back once the operator looks"),
        ("deadlines rest in a pause", service(loading(paused={"since": at(minutes=-1), "reason": "Manual"})),
         "deadline: rests while it is paused"),
        ("nothing is counted yet", service(loading()), "analysis  NoData  nothing is counted yet"),
        ("the count begins", service(loading(analysis={"until": at(seconds=-3)})),
         "analysis  NoData  nothing is counted yet"),
        ("a pause", service(paused()), "paused for 5m  NoData: no requests of the canary for 30m"),
        ("... and how it goes on", service(paused()), "go on: inferops rollout resume llama -n chat"),
        ("a manual gate", service(gated()), "owner (manual) at 50%: Waiting for 7m"),
        ("... and how it opens", service(gated()), "open it: inferops rollout resume llama -n chat"),
        ("steps that are skipped", service(observing(skipped=True)),
         "Observing  steps and analysis are skipped  for 3m 12s  begun 9m ago"),
        ("replicas that stable gave up", service(observing(yielded=2)),
         "the stable revision has given up 2 replicas for it"),
        ("who serves after a rollback", service(rolled_back()),
         "Rollout of chat/llama  revision 5f0d3a91c2 serves, a91c22d07b was rolled back"),
        ("why it was rolled back", service(rolled_back()),
         "HarmShown: errorRate: 40/120 bad of the canary, 2/400 of stable"),
        ("how it is tried again", service(rolled_back()),
         "the spec asks for it; try it again: inferops rollout retry llama -n chat"),
        ("what is kept after a promotion", service(retaining(), **PROMOTED),
         "previous 5f0d3a91c2: warm for another 8m, kept for another 23h"),
        ("what is no longer warm", service(retaining(warmUntil=at(minutes=-1)), **PROMOTED),
         "previous 5f0d3a91c2: warm for no longer, kept for another 23h"),
        ("going back would take time", service(retaining(rollback={"to": OLD, "ready": "Cold", "seconds": 95})),
         "rollback to 5f0d3a91c2: Cold, about 1m 35s"),
        ("a service as new as can be", {**service(), "status": {}}, "Rollout of chat/llama  nothing serves yet"),
        ("no operator has come", {**service(), "status": {}},
         "generation 2 is not judged yet: no operator has looked at it yet; where that lasts, see whether it runs"),
        ("the operator is away", service(OBSERVING, generation=5),
         "generation 5 is not judged yet: the operator judged generation 2 last; where that lasts, see whether it "
         "runs"),
        ("a spec that cannot be served", service(OBSERVING, conditions=[valid("False", "no Accelerator 'x'")]),
         "the spec cannot be served, so nothing new begins: no Accelerator 'x'"),
        ("evidence that is not the verdict", service(analysed(e_value=140.0)), "worse at first, less so lately"),
        ("a metric without requests", service(observing(analysis={"metrics": [{"name": "ttft"}]})),
         "ttft       NoData     canary no requests  stable no requests"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_told(case: str, raw: Object, expected: str) -> None:
    assert expected in lines(raw)


@pytest.mark.parametrize(
    ("case", "raw", "word"),
    [
        ("an ended rollout has no gates to come", service(retaining(), **PROMOTED), "to come"),
        ("nor one whose steps are skipped", service(observing(skipped=True)), "to come"),
        ("an ended one is not analysed", service(rolled_back()), "analysis"),
        ("what is rolled back has gone back", service(rolled_back()), "rollback to"),
        ("one that the spec does not ask for is not to be tried again", service(OBSERVING), "try it again"),
        ("a sentence that repeats the figures", service(analysed(e_value=14.0)), "less so lately"),
        ("before its first step none is marked", service(loading()), ">"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_told(case: str, raw: Object, word: str) -> None:
    assert word not in "\n".join(lines(raw))


def test_pods_stand_below_their_revision_with_what_they_wait_for() -> None:
    told = lines(service(OBSERVING), pod("llama-5f0-1", OLD), pod("llama-a91-1", NEW, ready=False, **OOM))
    assert told[told.index("llama-5f0-1  ready  on gpu-1") + 1].startswith(NEW)
    assert "llama-a91-1  CrashLoopBackOff    on gpu-1  3 restarts, ended last by OOMKilled (exit code 137)" in told


def test_what_may_be_old_says_so_first() -> None:
    assert lines(service(OBSERVING), problem="this is old: [x] for 9s")[1] == "this is old: [x] for 9s"


def test_texts_of_others_do_nothing_to_the_terminal() -> None:
    evil = "\x1b[2J[bold]:bomb:[/bold][/]\nfake line"
    rollout = paused(
        message=evil, paused={"since": evil, "reason": "NoData", "message": evil}, rollback={"to": NEW, "message": evil}
    )
    rollout["gates"] = [{"name": "smoke", "message": evil}]
    rollout["rejected"] = [{"hash": BAD, "reason": evil, "message": evil}]
    rollout["analysis"] = {"message": evil, "metrics": [{"name": "ttft", "message": evil, "verdict": "NotJudged"}]}
    console = Console(width=200, force_terminal=True, highlight=False, emoji=False, color_system=None)
    with console.capture() as captured:
        console.print(tree(shown(service(rollout)), NOW))
    assert "\x1b[2J" not in captured.get() and "\nfake line" not in captured.get()
    assert captured.get().count("[bold]:bomb:[/bold][/] fake line") == 8


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0, "0"),
        (0.4217, "0.422"),
        (100, "100"),
        (999.4, "999"),
        (3400, "3,400"),
        (8.2e7, "8.2e+07"),
        (1e300, "1.0e+300"),
    ],
)
def test_figures_stay_short(number: float, told: str) -> None:
    assert figure(number) == told


times = st.one_of(st.just(""), st.just(at(minutes=-3)), st.text(max_size=40))
words = st.text(max_size=16)
clocks = st.fixed_dictionaries({}, optional={name: times for name in ("capacity", "pull", "load", "warmUp")})
statuses = st.fixed_dictionaries(
    {"phase": st.sampled_from(Phase.__args__)},
    optional={
        "since": times,
        "started": times,
        "deadline": times,
        "canary": words,
        "stable": words,
        "step": st.integers(0, 50),
        "steps": st.integers(0, 50),
        "weight": st.integers(0, 100),
        "skipped": st.booleans(),
        "paused": st.fixed_dictionaries({"since": times, "reason": words}, optional={"message": words}),
        "reason": words,
        "message": words,
        "clocks": clocks,
        "gates": st.lists(st.fixed_dictionaries({"name": words}, optional={"since": times}), max_size=3),
        "previous": words,
        "warmUntil": times,
        "rollback": st.fixed_dictionaries({}, optional={"to": words, "seconds": st.integers(0, 10**9)}),
    },
)


@given(statuses)
def test_any_status_that_the_schema_allows_can_be_drawn(rollout: dict[str, Any]) -> None:
    RolloutStatus.model_validate(rollout)
    assert lines(service(rollout))[0].startswith("Rollout of chat/llama")
