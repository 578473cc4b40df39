"""Jobs of gates: made once, stopped when nobody wants them, and read when they have ended."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from inferops.controller.jobs import job_view
from inferops.core.rollout.view import GateWanted
from inferops.kube.client import Fenced, KubeError
from inferops.kube.kinds import INFERENCE_SERVICE, JOB, POD
from inferops.render.gatejob import CONTAINER, job_name
from unit.controller.building import UID, raw
from unit.controller.fakekube import Fake, refusal
from unit.controller.gating import CANARY, LLAMA, SINCE, Gated, hook, job
from unit.kube import virtualtime

EXIT = "Container evaluation for pod chat/x failed with exit code 3 matching FailJob rule at index 1"


def condition(kind: str, reason: str = "", message: str = "", status: str = "True") -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status, "reason": reason, "message": message}]}


COMPLETE = condition("Complete", "CompletionsReached")
FAILED = condition("Failed", "PodFailurePolicy", EXIT)
LATE = condition("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
LOST = condition("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")


@pytest.mark.parametrize(
    ("status", "outcome", "message"),
    [
        ({}, "Running", ""),
        ({"active": 1}, "Running", ""),
        (condition("Suspended"), "Running", ""),
        (condition("FailureTarget", "PodFailurePolicy", EXIT), "Running", ""),
        (condition("Complete", status="False"), "Running", ""),
        (condition("Failed", status="Unknown"), "Running", ""),
        (COMPLETE, "Passed", ""),
        (FAILED, "Failed", "exit code 3"),
        (condition("Failed", "PodFailurePolicy", "in other words"), "Failed", "in other words"),
        (LATE, "Unjudged", "it did not end within the gate's wait"),
        (LOST, "Unjudged", f"it did not run to its end, so nothing was judged: {LOST['conditions'][0]['message']}"),
        (condition("Failed"), "Unjudged", "it did not run to its end, so nothing was judged: "),
    ],
)
def test_how_a_job_ended(status: dict[str, Any], outcome: str, message: str) -> None:
    annotations = {"inferops.dev/gate": "a", "inferops.dev/gate-since": "b"}
    view = job_view({"metadata": {"name": "j", "annotations": annotations}, "status": status})
    assert (view.gate, view.since, view.outcome, view.message) == ("a", "b", outcome, message)


def test_what_is_missing_reads_as_not_there() -> None:
    view = job_view({"metadata": {"name": "j"}, "status": None})
    assert (view.gate, view.outcome) == ("", "Running")


def finish(gated: Gated, gate: GateWanted, status: dict[str, Any], said: str | None = None) -> None:
    """The Job's controller and kubelet: it has ended, and its container left these words."""
    name = job_name("llama", gate)
    live = gated.fake.read(JOB, "chat", name)
    assert live is not None
    gated.fake.put(JOB, {**live, "status": status}, "job-controller")
    if said is not None:
        evicted = [{"name": CONTAINER, "state": {"terminated": {"exitCode": 137, "message": "killed halfway"}}}]
        ended = [
            {"name": "istio-proxy", "state": {"terminated": {"exitCode": 0, "message": "the sidecar's"}}},
            {"name": CONTAINER, "state": {"terminated": {"exitCode": 3, "message": said}}},
        ]
        labels = {"batch.kubernetes.io/controller-uid": live["metadata"]["uid"]}
        for number, statuses in enumerate((evicted, ended)):
            gated.fake.now = f"2025-11-03T12:00:0{number}Z".format
            left = raw(POD, f"{name}-{number}", metadata={"labels": labels}, status={"containerStatuses": statuses})
            gated.fake.put(POD, left, "kubelet")
    gated.deliver()


def test_it_is_made_once_and_waited_for() -> None:
    async def main() -> None:
        gated, gate = Gated(), job(args=["--suite", "smoke"])
        await gated.ask(gate)
        name = job_name("llama", gate)
        assert gated.fake.writes == [("apply", "Job", name)] and gated.asks == [(LLAMA, 0.0)]
        made = gated.fake.read(JOB, "chat", name)
        assert made is not None
        env = {each["name"]: each.get("value", "") for each in made["spec"]["template"]["spec"]["containers"][0]["env"]}
        assert env["INFEROPS_CANARY_URL"] == f"http://llama-{CANARY}.chat.svc:8000"
        assert (env["INFEROPS_STABLE_URL"], env["INFEROPS_MODEL"]) == ("", "qwen3-8b")
        for _ in range(3):
            await gated.ask(gate)
        assert len(gated.fake.requests) == 1 and len(gated.asks) == 1
        assert gated.said(gate) == ("Waiting", f"Job {name} has not ended")

    virtualtime.run(main())


@pytest.mark.parametrize(
    ("status", "said", "verdict", "tail"),
    [
        (COMPLETE, "accuracy 0.83\n", "Passed", "succeeded: accuracy 0.83"),
        (COMPLETE, "", "Passed", "succeeded"),
        (COMPLETE, None, "Passed", "succeeded"),
        (FAILED, "accuracy 0.71\x1b[0m < 0.80", "Failed", "failed: exit code 3: accuracy 0.71 [0m < 0.80"),
        (FAILED, None, "Failed", "failed: exit code 3"),
    ],
)
def test_its_verdict_comes_with_its_last_words(
    status: dict[str, Any], said: str | None, verdict: str, tail: str
) -> None:
    async def main() -> None:
        gated, gate = Gated(), job()
        await gated.ask(gate)
        finish(gated, gate, status, said)
        name = job_name("llama", gate)
        assert gated.said(gate) == ("Waiting", f"Job {name} has ended; what it said is being read")
        gated.asks.clear()
        await gated.ask(gate)
        assert gated.said(gate) == (verdict, f"Job {name} {tail}")
        assert gated.asks == [(LLAMA, 0.0)]  # nobody else tells that it was read
        await gated.ask(gate)
        assert len(gated.asks) == 1 and len(gated.fake.writes) == 1

    virtualtime.run(main())


def test_a_verdict_does_not_depend_on_its_last_words() -> None:
    async def main() -> None:
        gated, gate = Gated(), job()
        await gated.ask(gate)
        finish(gated, gate, FAILED, "unread")
        gated.fake.refuses = lambda verb, desired: refusal(403) if verb == "list" else None
        await gated.ask(gate)
        assert gated.said(gate) == ("Failed", f"Job {job_name('llama', gate)} failed: exit code 3")

    virtualtime.run(main())


def test_what_judged_nothing_is_no_verdict_and_asked_anew_it_makes_room() -> None:
    async def main() -> None:
        gated, gate = Gated(), job()
        await gated.ask(gate)
        finish(gated, gate, LATE)
        for _ in range(3):
            await gated.ask(gate)
        name = job_name("llama", gate)
        assert gated.said(gate) == ("Waiting", f"Job {name}: it did not end within the gate's wait")
        assert len(gated.fake.writes) == 1
        anew = job(since=SINCE + timedelta(hours=2))  # somebody resumed the rollout
        await gated.ask(anew)
        assert gated.jobs() == [] and anew.name not in gated.gates.views(LLAMA)
        await gated.ask(anew)
        assert gated.jobs() == [name] and gated.said(anew) == ("Waiting", f"Job {name} has not ended")

    virtualtime.run(main())


def test_what_judged_nothing_makes_room_as_soon_as_nobody_wants_it() -> None:
    async def main() -> None:
        gated, gate = Gated(), job()
        await gated.ask(gate)
        finish(gated, gate, LOST)
        await gated.ask()
        assert gated.jobs() == []
        await gated.ask(gate)
        assert gated.said(gate) == ("Waiting", f"Job {job_name('llama', gate)} has not ended")

    virtualtime.run(main())


@pytest.mark.parametrize("status", [None, COMPLETE, FAILED])
def test_one_that_runs_or_has_judged_is_not_made_anew(status: dict[str, Any] | None) -> None:
    async def main() -> None:
        gated, gate = Gated(), job()
        await gated.ask(gate)
        if status is not None:
            finish(gated, gate, status)
        await gated.ask(job(since=SINCE + timedelta(hours=2)))
        assert gated.fake.writes == [("apply", "Job", job_name("llama", gate))]

    virtualtime.run(main())


def test_an_abort_stops_what_runs_and_leaves_what_ended_to_be_read() -> None:
    async def main() -> None:
        gated, quality, cost = Gated(), job(), job("cost")
        await gated.ask(quality, cost)
        assert len(gated.jobs()) == 2
        finish(gated, quality, FAILED)
        await gated.ask()
        assert gated.jobs() == [job_name("llama", quality)]
        requests = len(gated.fake.requests)
        await gated.ask()
        assert len(gated.fake.requests) == requests

    virtualtime.run(main())


def test_another_evaluation_takes_the_place_of_the_one_that_runs() -> None:
    async def main() -> None:
        gated, before, after = Gated(), job(), job(args=["--suite", "full"])
        assert before.name == after.name
        await gated.ask(before)
        await gated.ask(after)
        assert gated.jobs() == [job_name("llama", after)]
        verbs = [verb for verb, _, _ in gated.fake.writes]
        assert verbs == ["apply", "delete", "apply"]  # never both at once

    virtualtime.run(main())


def test_a_new_process_knows_them_by_what_they_tell() -> None:
    async def main() -> None:
        first, gate = Gated(), job()
        await first.ask(gate)
        finish(first, gate, COMPLETE, "accuracy 0.83")
        second = Gated(fake=first.fake)
        writes = len(second.fake.writes)
        await second.ask(gate)
        assert second.said(gate) == ("Passed", f"Job {job_name('llama', gate)} succeeded: accuracy 0.83")
        third = Gated(fake=first.fake)
        await third.ask()  # its rollout has gone on
        assert len(second.fake.writes) == writes

    virtualtime.run(main())


def test_a_namesake_s_job_says_nothing() -> None:
    async def main() -> None:
        gated, gate = Gated(), job()
        await gated.ask(gate)
        finish(gated, gate, COMPLETE)
        fake = Fake()
        fake.put(INFERENCE_SERVICE, raw(INFERENCE_SERVICE, "llama", metadata={"uid": "uid-of-a-new-one"}))
        left = gated.fake.read(JOB, "chat", job_name("llama", gate))
        assert left is not None and left["metadata"]["ownerReferences"][0]["uid"] == UID
        fake.put(JOB, left)
        assert Gated(fake=fake).gates.views(LLAMA) == {}

    virtualtime.run(main())


@pytest.mark.parametrize("status", [403, 422, 409])
def test_a_job_that_is_refused_is_told_and_tried_again_without_holding_up_the_rest(status: int) -> None:
    async def main() -> None:
        gated, gate, webhook = Gated(), job(), hook(name="cost")
        gated.fake.refuses = lambda verb, desired: refusal(status, "Forbidden", "exceeded quota: team\n")
        for _ in range(5):
            await gated.ask(gate, webhook)
            await asyncio.sleep(1)
        assert gated.said(gate) == ("Waiting", "the API server refuses its Job: exceeded quota: team")
        assert gated.said(webhook)[0] == "Passed"
        assert len(gated.fake.writes) == 1 and (LLAMA, 10.0) in gated.asks
        await asyncio.sleep(5)
        gated.fake.refuses = lambda verb, desired: None
        await gated.ask(gate, webhook)
        assert gated.jobs() == [job_name("llama", gate)]
        assert gated.said(gate) == ("Waiting", f"Job {job_name('llama', gate)} has not ended")
        await gated.gates.close()

    virtualtime.run(main())


@pytest.mark.parametrize("error", [refusal(500), refusal(0), Fenced("not any more")])
def test_an_api_server_that_does_not_answer_is_asked_again_by_the_queue(error: Exception) -> None:
    async def main() -> None:
        gated, gate = Gated(), job()
        gated.fake.fenced = isinstance(error, Fenced)
        gated.fake.refuses = lambda verb, desired: error if isinstance(error, KubeError) else None
        with pytest.raises(type(error)):
            await gated.ask(gate)
        assert gate.name not in gated.gates.views(LLAMA)

    virtualtime.run(main())


def test_others_of_our_label_are_left_alone() -> None:
    async def main() -> None:
        gated = Gated()
        theirs = raw(
            JOB,
            "backup",
            metadata={
                "labels": {"app.kubernetes.io/managed-by": "inferops", "inferops.dev/service": "llama"},
                "ownerReferences": [{"uid": UID, "controller": True}],
            },
        )
        gated.fake.put(JOB, theirs)
        gated.deliver()
        await gated.ask()
        assert gated.jobs() == ["backup"] and gated.gates.views(LLAMA) == {}

    virtualtime.run(main())
