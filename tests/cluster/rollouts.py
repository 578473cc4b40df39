"""Rollouts played side by side: scenes of one service each, with requests that never stop.

All scenes of a module run at the same time, each in a task of its own; the test of a scene waits for its end.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any

import pytest

from cluster.services import Json, Say
from cluster.stage import Stage
from cluster.streams import Traffic, access_log
from cluster.watched import Moment, PodTrace
from inferops.api import API_VERSION
from inferops.kube.kinds import INFERENCE_SERVICE
from inferops.simulate.server.faults import VARIABLE
from nodeagent.client import MERGE

ACTION = "inferops.dev/action"
PATIENCE = 60.0  # seconds for anything to happen
SERVES = {"Ready": "True", "Available": "True"}
UNDER_WAY = {"Ready": "Unknown", "Reconciling": "True", "Available": "True"}
ENDED = ("Idle", "Retaining", "Succeeded", "RolledBack")  # phases of a rollout that is not under way
OVER = ("RollingBack", "RolledBack")
ROLLED_BACK_WITHIN = 15.0  # seconds
FAILED = {"Ready": "False", "Stalled": "True", "Available": "True"}  # as kstatus has it: it failed, and serves
# Real ones take minutes. Evidence is as strong as by default, with a margin that so few requests can tell. Latencies
# are judged where a scene is about them: here they are those of a busy machine.
HALF = {"weight": 50, "minDuration": "1s"}
ROLLOUT: Json = {
    "steps": [{"weight": 20, "minDuration": "2s"}, HALF],
    "analysis": {"metrics": ["errorRate"], "warmUp": "1s", "margin": 0.2},
    "keepWarm": "5s",
    "retainPrevious": "30s",
}
GOOD = {"runtime": {"args": ["--max-num-seqs=64"]}}  # another revision with nothing wrong


def bad(fault: str) -> Json:
    """A revision whose engines have a fault."""
    return {"runtime": {"env": [{"name": VARIABLE, "value": fault}]}}


class Scene:
    """One service, its requests, and what became of both."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage, self.name, self.watched = stage, name, stage.watched
        self.told: list[str] = []
        self.manifest: Json = {}
        self.stable = ""
        self.stable_pods: list[PodTrace] = []

    @property
    def moments(self) -> list[Moment]:
        return self.watched.moments[self.name]

    @property
    def now(self) -> Moment:
        return self.moments[-1]

    @property
    def canary(self) -> str:
        return str(self.now.rollout.get("canary", ""))

    def say(self, line: str) -> None:
        self.told.append(f"{self.name}: {line}")

    # 1. What is done

    async def begin(self, replicas: int = 1, rollout: Mapping[str, Any] | None = None, **spec: Any) -> str:
        """Its first revision, ready. Returns the hash."""
        whole = {
            "model": {"uri": "hf://meta-llama/Llama-3.1-8B-Instruct"},
            "accelerators": [{"type": "nvidia-h100-80gb"}],
            "scaling": {"minReplicas": replicas, "maxReplicas": replicas},
            "rollout": {**ROLLOUT, **(rollout or {})},
            **spec,
        }
        meta = {"name": self.name, "namespace": self.stage.namespace}
        self.manifest = {"apiVersion": API_VERSION, "kind": "InferenceService", "metadata": meta, "spec": whole}
        await self.apply()
        await self.conditions(SERVES)
        self.stable = str(self.now.status["stableRevision"])
        self.stable_pods = [pod for pod in self.pods(self.stable) if pod.there]
        assert len(self.stable_pods) == replicas
        return self.stable

    async def apply(self, change: Mapping[str, Any] | None = None) -> None:
        """Apply the manifest, with parts of its spec changed, as Git does. A change of no part is the same again."""
        self.manifest["spec"] |= change or {}
        text = json.dumps(self.manifest)
        arguments = ("apply", "--server-side", "--field-manager=git", "--force-conflicts", "-f", "-")
        await asyncio.to_thread(self.stage.cluster.kubectl, *arguments, input=text)

    async def act(self, action: str) -> None:
        """Ask the rollout for something."""
        body = {"metadata": {"annotations": {ACTION: action}}}
        await self.stage.api.patch(INFERENCE_SERVICE.path(self.stage.namespace, self.name), body, kind=MERGE)

    def requests(self, rate: float) -> Traffic:
        """So many streams a second, for as long as its context lasts."""
        return Traffic(self.stage.gateways, self.name, rate)

    # 2. What is waited for

    async def until(self, what: str, true: Callable[[Moment], object], within: float = PATIENCE) -> Moment:
        """Wait for something of the service. Raises TimeoutError that tells where it stands instead."""
        try:
            await self.watched.until(what, lambda: self.moments and true(self.now), within)
        except TimeoutError as late:
            raise TimeoutError(f"{self.name}: {late}; {self.story()}") from None
        return self.now

    async def others(self, what: str, true: Callable[[Moment], object], within: float = PATIENCE) -> None:
        """Wait for something of all other scenes that play."""

        def so() -> bool:
            told = [moments for name, moments in self.watched.moments.items() if name != self.name]
            return all(moments and true(moments[-1]) for moments in told)

        await self.watched.until(f"the other scenes {what}", so, within)

    async def phase(self, *wanted: str, within: float = PATIENCE) -> Moment:
        return await self.until(" or ".join(wanted), lambda moment: moment.phase in wanted, within)

    async def conditions(self, wanted: Mapping[str, str], within: float = PATIENCE) -> Moment:
        """Wait for these conditions on the newest spec."""

        def so(moment: Moment) -> bool:
            return moment.judged and wanted.items() <= moment.conditions().items()

        return await self.until(f"{wanted}", so, within)

    async def gone(self, revision: str = "", within: float = PATIENCE) -> None:
        """Wait until no pod of a revision is left."""

        def so(moment: Moment) -> bool:
            return all(pod.gone for pod in self.pods(revision))

        await self.until(f"no pod of {revision}", so, within)

    # 3. What was seen

    def pods(self, revision: str) -> list[PodTrace]:
        return self.watched.pods_of(self.name, revision)

    def first(self, phase: str) -> float:
        """When it was first in a phase."""
        return next(moment.at for moment in self.moments if moment.phase == phase)

    def phases(self) -> list[str]:
        """All, in order."""
        return [phase for phase, _ in itertools.groupby(moment.phase for moment in self.moments)]

    def story(self) -> str:
        """What happened and where it stands, for a test that failed."""
        steps = [(step, next(group)) for step, group in itertools.groupby(self.moments, lambda moment: moment.step)]
        begun = self.moments[0].at if self.moments else 0.0
        path = ", ".join(f"{moment.at - begun:.1f} s {step}" for step, moment in steps)
        rollout = {key: value for key, value in self.now.rollout.items() if value not in ("", [], {}, 0, None)}
        pods = Counter((pod.revision, pod.serving, pod.there) for pod in self.pods(""))
        return f"{path}; {json.dumps(rollout)}; {self.now.weights}; {self.now.conditions()}; {pods}"

    # 4. What is promised

    def nobody_failed(self, traffic: Traffic) -> None:
        assert len(traffic.ended) > 20, "there was no traffic to speak of"
        assert not traffic.bad, f"{traffic.summary()}: {traffic.bad[:3]}; {self.story()}"

    async def only_the_canary_failed(self, traffic: Traffic, canary: str) -> None:
        """Whoever got an error had it of the canary: never of the stable revision, and never for want of one."""
        log = await self.log()
        others = [each for each in traffic.bad if log[each.id]["revision"] != canary]
        assert not others, f"{traffic.summary()}: {others[:3]}; {self.story()}"
        self.say(f"{len(traffic.bad)} of {len(traffic.ended)} requests failed, none but the canary's")

    def stable_unhurt(self) -> None:
        """No pod of the stable revision was touched, and all of them serve."""
        for pod in self.stable_pods:
            assert pod.serving and not pod.restarts and not pod.ends, (pod, self.story())

    def untouched(self, pods: Collection[PodTrace]) -> None:
        """These serve as they did, without a restart."""
        assert pods and all(pod.serving and not pod.restarts for pod in pods), (pods, self.story())

    def rejected(self, canary: str, *reasons: str) -> Json:
        """The canary was rolled back for one of these reasons, and the status tells why. Returns its entry."""
        moment = self.now
        assert moment.phase == "RolledBack", self.story()
        assert FAILED.items() <= moment.conditions().items() and "Reconciling" not in moment.conditions(), self.story()
        assert moment.weights == {self.stable: 100} and moment.status["stableRevision"] == self.stable
        entry: Json = moment.rollout["rejected"][0]
        ended = moment.rollout["history"][0]
        assert (entry["hash"], ended["revision"], ended["outcome"]) == (canary, canary, "RolledBack")
        assert entry["reason"] in reasons and ended["reason"] == entry["reason"], entry
        assert entry["message"] and moment.condition("Ready")["message"], "why, for people"
        return entry

    def told_all_along(self) -> None:
        """While it was under way kstatus said so, and weights were percentages of replicas that were ready."""
        for moment in self.moments:
            if moment.phase in ENDED or not moment.judged:
                continue
            assert UNDER_WAY.items() <= moment.conditions().items(), (moment.phase, moment.conditions(), self.story())
            assert "Stalled" not in moment.conditions(), self.story()
            assert sum(moment.weights.values()) == 100, (moment.weights, self.story())
            for each in moment.status["revisions"]:
                assert each["readyReplicas"] or not each["weight"], (each, self.story())

    def rolled_back_within(self, evidence: float, canary: str, limit: float = ROLLED_BACK_WITHIN) -> None:
        """From the evidence on: until it got no more requests, and until the rollback was over."""
        left = next(each.at for each in self.moments if each.phase in OVER and canary not in each.weights) - evidence
        over = self.first("RolledBack") - evidence
        why = self.now.rollout["rejected"][0]
        self.say(f"without a request {left:.1f} s after the evidence, rolled back after {over:.1f} s: {why['reason']}")
        self.say(f"  {why['message']}")
        assert left <= over <= limit, self.story()

    async def log(self) -> dict[str, Json]:
        """The gateways' access log of this service, by the request's id."""
        await asyncio.sleep(0.3)  # it is written a little later
        found = access_log(*self.stage.gateways)
        return {name: record for name, record in found.items() if record["service"] == self.name}

    async def first_of(self, true: Callable[[Json], object]) -> float:
        """When the first request ended of which something is true."""
        log = await self.log()
        times = (datetime.fromisoformat(each["time"]).timestamp() for each in log.values() if true(each))
        return min(times)


Act = Callable[[Scene], Coroutine[Any, Any, None]]


class Play:
    """Scenes by name, all of which begin at once."""

    def __init__(self, stage: Stage, acts: Mapping[str, Act]) -> None:
        self._stage = stage
        self.scenes = {name: Scene(stage, name) for name in acts}
        self._tasks = {name: asyncio.create_task(act(self.scenes[name])) for name, act in acts.items()}

    async def end(self, name: str, say: Say) -> None:
        """Wait for a scene's end, and say what it told. Raises what it raised."""
        try:
            await self._tasks[name]
        except Exception:
            self.scenes[name].told += await asyncio.to_thread(lambda: [*self._stage.diagnosis(name)])
            raise
        finally:
            for line in self.scenes[name].told:
                say(line)

    async def all_ended(self) -> None:
        """However they ended."""
        await asyncio.wait(self._tasks.values())

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


@asynccontextmanager
async def playing(stage: Stage, acts: Mapping[str, Act], request: pytest.FixtureRequest) -> AsyncIterator[Play]:
    """Those scenes alone whose tests are to run: a test says by its parameter `name` which one is its."""
    specs = [getattr(item, "callspec", None) for item in request.session.items]
    wanted = {spec.params.get("name") for spec in specs if spec is not None}
    async with AsyncExitStack() as stack:
        await stage.open(stack)
        play = Play(stage, {name: act for name, act in acts.items() if name in wanted})
        yield play
        await play.close()
