"""What a round of scaling costs: a thousand services, each looked at once, in CPU seconds.

Prints figures; judges nothing. Three of them: the rule alone (`recommend`), a whole decision with a look in it, and one
between two looks, as every other event brings it about. Loads differ from service to service and from round to round,
and what a decision leads to is what the next one sees.
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from statistics import fmean

from inferops.api.inferenceservice import InferenceServiceSpec
from inferops.api.inferenceservicestatus import InferenceServiceStatus
from inferops.api.resources import InferenceService
from inferops.api.rolloutstatus import RolloutStatus
from inferops.catalogue import accelerators, models, runtimes
from inferops.core import choices, fleet
from inferops.core.autoscale.history import History
from inferops.core.autoscale.rule import recommend
from inferops.core.autoscale.terms import Goals, Signals
from inferops.core.decide import Decision, decide
from inferops.core.load import Load
from inferops.core.observation import Nodes, NodeView, Observation, PodView, RevisionView, WorkloadView
from inferops.core.revision import revision_of
from inferops.core.sizing import Sizing
from inferops.runtimes import ENGINES

SERVICES = 1000
ROUNDS = 40  # of which the first half is for learning, and is not counted
EVERY = timedelta(seconds=15)
MODEL, GPU = "hf://Qwen/Qwen3-8B", "nvidia-h100-80gb"
BEGIN = datetime(2025, 11, 3, 8, tzinfo=UTC)
SPEC = {
    "model": {"uri": MODEL},
    "accelerators": [{"type": GPU}],
    "slo": {"ttft": "1s", "tpot": "50ms"},
    "scaling": {"minReplicas": 1, "maxReplicas": 50},
}


def pods(hash_: str, replicas: int, now: datetime) -> tuple[PodView, ...]:
    return tuple(
        PodView(
            f"model-{hash_}-{number}", hash_, node=f"node-{number}", ready=True, started=True,
            created=now - timedelta(minutes=3), ready_since=now,
        )
        for number in range(replicas)
    )  # fmt: skip


@cache
def sized() -> Sizing:
    """Sizing's answer, which services of one kind share, as in the operator."""
    of = InferenceServiceSpec.model_validate(SPEC)
    return choices.size_for(of, models()[MODEL.removeprefix("hf://")], accelerators(), 0.92)


def world(number: int) -> Observation:
    """A service that serves, on a cluster with room."""
    of = InferenceService.model_validate(
        {"metadata": {"name": f"model-{number:04}", "namespace": "bench", "uid": f"u{number}", "generation": 1},
         "spec": SPEC}
    )  # fmt: skip
    spec = revision_of(of.spec, of.spec.accelerators[0])
    status = InferenceServiceStatus(
        observed_generation=1,
        stable_revision=spec.hash,
        latest_revision=spec.hash,
        desired_replicas=3,
        rollout=RolloutStatus(phase="Succeeded"),
    )
    runtime, engine, offered = runtimes()["vllm"], ENGINES["vllm"], accelerators()
    label = offered[GPU].node_labels[0]
    nodes = Nodes(NodeView(f"node-{each}", {label.key: label.values[0]}, {"nvidia.com/gpu": 8}) for each in range(50))
    return Observation(
        of.model_copy(update={"status": status}),
        BEGIN,
        runtime=runtime,
        runtime_names=("vllm",),
        engine=engine,
        accelerators=offered,
        nodes=nodes,
        revisions=(
            RevisionView(
                spec.hash,
                spec,
                runtime.image or "",
                order=1,
                workload=WorkloadView(),
                pods=pods(spec.hash, 3, BEGIN),
            ),
        ),
        routed_to=spec.hash,
        sizing=sized(),
    )


def load(until: datetime, rate: float) -> Load:
    """What was counted in the seconds before, at so many requests a second, two seconds each."""
    seconds, end = EVERY.total_seconds(), until.timestamp()
    requests = round(rate * seconds)
    return Load(
        end - seconds, end, "gateway", requests, requests, busy=2.0 * requests, in_flight=round(2 * rate),
        tokens_in=1000 * requests, tokens_out=250 * requests, ttft=0.2, tpot=0.012, judged=requests,
    )  # fmt: skip


def next_look(seen: Observation, decision: Decision, rate: float) -> Observation:
    """What the next look sees: the decision applied, its replicas ready, and a load."""
    now, [there] = seen.now + EVERY, seen.revisions
    replicas = decision.status.desired_replicas or 0
    return replace(
        seen,
        now=now,
        service=seen.service.model_copy(update={"status": decision.status}),
        revisions=(replace(there, pods=pods(there.hash, replicas, BEGIN)),),
        load=load(now, rate),
        looked=decision.looked or seen.looked,
    )


@dataclass(frozen=True, slots=True)
class Figures:
    """CPU seconds of one round, and how many statuses it would write."""

    alone: float
    whole: float
    between: float
    written: int


def play(worlds: list[Observation], rates: list[float]) -> tuple[list[Observation], Figures]:
    """One round: what the next one sees, and what it took."""
    began = time.process_time()
    decisions = [decide(each) for each in worlds]
    decided = time.process_time()
    asked = [question(each) for each in worlds]
    ready = time.process_time()
    for history, signals, goals, now in asked:
        recommend(history, signals, goals, now)
    ruled = time.process_time()
    after = [next_look(*each) for each in zip(worlds, decisions, rates, strict=True)]
    soon = [replace(each, now=each.now - EVERY + timedelta(seconds=2)) for each in after]
    made = time.process_time()
    for each in soon:
        decide(each)
    rested = time.process_time()
    written = sum(one.status != each.service.status for one, each in zip(decisions, worlds, strict=True))
    return after, Figures(ruled - ready, decided - began, rested - made, written)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=SERVICES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    chance = random.Random(1)
    rates = [chance.uniform(1, 60) for _ in range(options.services)]
    worlds = [world(number) for number in range(options.services)]
    rounds: list[Figures] = []
    for _ in range(options.rounds):
        rates = [max(rate * chance.uniform(0.95, 1.05), 0.5) for rate in rates]
        worlds, figures = play(worlds, rates)
        rounds.append(figures)
    counted = rounds[len(rounds) // 2 :]
    print(
        f"{options.services} services, CPU seconds of a round: least and mean of {len(counted)}, since others may work"
    )
    show("recommend alone", [each.alone for each in counted])
    show("decide, with a look", [each.whole for each in counted])
    show("decide, between looks", [each.between for each in counted])
    print(
        f"  {'statuses written':<24} {fmean(each.written for each in counted):.1f} a round, where rates go up and down"
    )


def show(name: str, seconds: list[float]) -> None:
    print(f"  {name:<24} {min(seconds):.3f}  {fmean(seconds):.3f}")


def question(seen: Observation) -> tuple[History, Signals, Goals, float]:
    """What the rule is asked at a look."""
    kept = seen.service.status.desired_replicas or 1
    history = seen.looked.history or History()
    return history, fleet.signals(seen, kept), fleet.goals(seen.service.spec, 1), seen.now.timestamp()


if __name__ == "__main__":
    main()
