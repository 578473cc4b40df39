"""Replicas that follow the load on a real Kubernetes: a step, a restart in it, too few GPUs, gateways that fall silent.

`make demo-autoscale` shows more of it, in the time that it takes in real life.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

import autoscale_stage
from autoscale_load import Load
from autoscale_record import Phase, Watch, attainment, turns
from autoscale_stage import TOKENS, TPOT, TTFT, Stage
from cluster.replicas import admin
from cluster.services import Json, Say, denied
from cluster.test_operator import User
from controlplane import Cluster
from harness import begin_namespace, wait_until
from inferops.cli.scaler import Wish, scalers
from inferops.kube.kinds import POD
from nodeagent.client import Client

NAMESPACE, NAME = "autoscale", "follows"
GPUS, MOST = 4, 8  # of the cluster, and replicas that the service may have
LOADS = 2.0  # seconds that an engine loads
BASE = 1.0  # requests a second, of which a replica carries about two
SETTLE = 5.0  # seconds for which fewer must have been enough
SCALING = {"maxReplicas": MOST, "scaleDown": {"after": f"{SETTLE:.0f}s", "limit": {"percent": 100, "period": "5s"}}}
OUTAGE = 7.0  # seconds
UNDERWAY = 8.0  # seconds in which what was counted before an outage is looked at, decided on and done


@pytest.fixture(scope="module")
def stage(cluster: Cluster) -> Iterator[Stage]:
    """The product and a few GPUs, and a service that an HPA scales beside the one that follows its load."""
    with autoscale_stage.staged(cluster, GPUS, LOADS, "autoscale-") as stage:
        begin_namespace(cluster, NAMESPACE)
        stage.apply(NAMESPACE, NAME, SCALING)
        yield stage
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def user(stage: Stage) -> User:
    return User(stage.cluster, NAMESPACE)


@pytest.fixture(scope="module")
def hpa(stage: Stage, user: User) -> str:
    """The name of a HorizontalPodAutoscaler as `inferops render --scaler hpa` prints it, and of its service. The
    service has no node to run on."""
    service = autoscale_stage.manifest(NAMESPACE, "external", {"mode": "external", "maxReplicas": 4})
    service["spec"]["accelerators"] = [{"type": "nvidia-h200"}]
    user.kubectl("apply", "-f", "-", input=json.dumps(service))
    user.kubectl("scale", "infs/external", "--replicas=2")
    [scaler] = scalers(json.dumps(service), NAMESPACE, Wish("hpa"))
    user.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", input=json.dumps(scaler))
    return "external"


async def test_replicas_follow_the_load_through_whatever_happens(stage: Stage, user: User, hpa: str, say: Say) -> None:
    load = Load(stage.urls, NAME, TOKENS)
    async with admin(stage.cluster) as api, load, Watch(api, NAMESPACE, NAME, load) as watch:
        record = watch.record
        await watch.until("ready", lambda sample: sample.ready == 1, 60)
        load.rate, began = BASE, time.time()
        # Other goals are looked at at once.
        await asyncio.to_thread(stage.apply, NAMESPACE, NAME, {**SCALING, "queueDepth": 2})
        await asyncio.sleep(3)
        load.rate, stepped = 10 * BASE, time.time()
        await watch.until("more", lambda sample: sample.wanted > 1, 20)
        before, killed = await _pods(api), time.time()
        await asyncio.to_thread(stage.kill_operator)
        await asyncio.to_thread(stage.start_operator)
        restarted = time.time()
        assert before <= await _pods(api), "a restart touches no pod"
        took = await watch.until("more than there are GPUs", lambda sample: sample.wanted > GPUS, 30)
        await watch.until("all GPUs in use", lambda sample: sample.ready == GPUS, 20)
        await asyncio.to_thread(wait_until, "it says who finds no node", lambda: _homeless(user), 20)
        await asyncio.to_thread(lambda: stage.tell(metrics=False))
        load.rate, silent, most = BASE, time.time(), watch.now.wanted
        await asyncio.sleep(UNDERWAY)
        before = await _pods(api)
        await asyncio.sleep(OUTAGE)
        told = time.time()
        assert before <= await _pods(api), f"none goes while nobody tells: {record.told(silent - 5, told)}"
        await asyncio.to_thread(lambda: stage.tell(metrics=True))
        await watch.until("fewer again", lambda sample: sample.wanted < most, 40)
        fallen = time.time()
    for phase in (Phase("base", began, stepped), Phase("step", stepped, silent), Phase("fall", silent, fallen)):
        numbers = record.wanted(phase.since, phase.until)
        share = attainment(load.since(phase.since, phase.until), TTFT, TPOT)
        say(f"{phase.name}: {phase.until - phase.since:.0f} s, replicas wanted {numbers}, {100 * share:.0f} % in time")
        assert turns(numbers) <= 1, record.told(phase.since, phase.until)
    say(f"{took:.0f} s after the restart {GPUS} GPUs were not enough; {len(load.sent)} requests, {len(load.lost)} lost")
    assert not load.lost, load.lost[:3]
    decided = record.within(began, fallen)  # before, nothing need be
    assert [each for each in decided if not (1 <= each.wanted <= MOST and each.ready <= GPUS)] == []
    for case, since, until in (("by a restart", killed, restarted + SETTLE), ("unheard", silent + UNDERWAY, told)):
        numbers = record.wanted(since, until)
        fewer = f"none goes {case}: {record.told(since, until)}"
        assert all(after > earlier for earlier, after in pairwise(numbers)), fewer


def _homeless(user: User) -> bool:
    """Whether the status tells of replicas without a node: the scheduler may take a while to say so."""
    status = user.get("infs", NAME)["status"]
    return f"of {status['desiredReplicas']} replicas find no node" in " ".join(status["explain"])


async def _pods(api: Client) -> set[str]:
    found = await api.get(POD.path(NAMESPACE), labelSelector=f"inferops.dev/service={NAME}")
    return {each["metadata"]["uid"] for each in found["items"] if "deletionTimestamp" not in each["metadata"]}


def test_an_hpa_finds_the_number_that_it_is_to_set(user: User, hpa: str) -> None:
    assert user.get("infs", hpa)["spec"]["scaling"]["replicas"] == 2
    scale = f"/apis/serving.inferops.dev/v1alpha1/namespaces/{NAMESPACE}/inferenceservices/{hpa}/scale"
    told: Json = {}

    def able() -> bool:
        conditions = user.get("hpa", hpa).get("status", {}).get("conditions", ())
        told.update({each["type"]: (each["status"], each["reason"]) for each in conditions})
        return told.get("AbleToScale") == ("True", "SucceededGetScale")

    wait_until("the HPA read the scale subresource", able, 60, every=0.5)  # it looks every 15 s
    assert json.loads(user.kubectl("get", "--raw", scale))["spec"]["replicas"] == 2, "without metrics it rests"
    assert len(user.list("pods", hpa)) == 2


def test_nothing_is_denied_and_nothing_unexpected_happened(stage: Stage) -> None:
    assert denied(stage.cluster) == set()
    assert 'result="bug"' not in stage.operator.get("/metrics")[1], stage.operator.tail()
