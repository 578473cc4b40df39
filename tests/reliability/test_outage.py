"""The API server is away for minutes, and comes back as it was or as it was some time before."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import soak_probe
from cluster.services import Say
from controlplane import Binaries, Cluster
from harness import ROOT, wait_until
from upgrade import Stage

MINUTES = float(os.environ.get("MINUTES") or 5)  # that it is away
AFTER = 60.0  # seconds in which all is as it was
OTHERS = ("kube-controller-manager", "kube-scheduler")


@pytest.fixture
def stage(binaries: Binaries, inside: None) -> Iterator[Stage]:
    """Three services with traffic, one of which has a canary, and one operator, started anew as by kubelet."""
    with Cluster("outage", 0, binaries=binaries) as cluster, ExitStack() as stack:
        stage = Stage(cluster, stack)
        stage.begin(ROOT)
        stage.rest()
        yield stage


def supervise(stage: Stage, seconds: float) -> int:
    """Let time go by, and start the operator anew where it ends. Returns how often it did."""
    ends, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        ends += stage.supervise()
        assert all(gateway.process.poll() is None for gateway in stage.gateways), "a gateway ended"
        time.sleep(0.5)
    return ends


def test_away_for_minutes(stage: Stage, say: Say) -> None:
    before = stage.world()
    stage.cluster.stop_component("kube-apiserver", kill=True)
    ends = supervise(stage, MINUTES * 60)
    assert ends <= 1, "it waits for the API server once it has lost its lease"
    stage.cluster.start_component("kube-apiserver")
    back = time.monotonic()
    wait_until("the operator leads", stage.leads, AFTER)
    stage.rest()
    took = time.monotonic() - back
    say(f"away for {MINUTES:.0f} minutes: the operator ended {ends} times, at rest {took:.1f} s after")
    assert not before.changes(stage.world())
    requests = stage.end()
    say(f"{requests.sent} requests meanwhile, {requests.number('lost')} lost")
    assert requests.sent > MINUTES * 60 and requests.number("answered") == requests.sent, requests.examples
    assert not stage.bugs()


def test_restored_from_an_older_backup(stage: Stage, say: Say) -> None:
    """What was made since is gone and what was deleted since is there again: nothing is left of the one, the other
    serves. The nodes begin anew, as after a disaster that took all of the control plane."""
    cluster, kept = stage.cluster, stage.cluster.workdir / "backup"
    stage.apply("deleted-later", {})
    stage.settle(soak_probe.serves_or_rolls)
    _stop(cluster)
    shutil.copytree(cluster.workdir / "etcd", kept)
    _start(cluster)
    wait_until("the operator leads", stage.leads, AFTER)
    stage.delete("deleted-later")
    stage.apply("made-later", {})
    stage.settle(soak_probe.serves_or_rolls)
    _stop(cluster)
    shutil.rmtree(cluster.workdir / "etcd")
    shutil.copytree(kept, cluster.workdir / "etcd")
    _start(cluster)
    back = time.monotonic()

    def so() -> bool:
        stage.supervise()
        there = {each["metadata"]["name"] for each in soak_probe.services(cluster)}
        pods = {each["metadata"]["labels"][soak_probe.LABEL] for each in soak_probe.pods(cluster)}
        served = all(soak_probe.serves_or_rolls(each) for each in soak_probe.services(cluster))
        return served and "deleted-later" in there and "made-later" not in there | pods and there <= pods | {"sleeper"}

    wait_until("the older state serves", so, 2 * AFTER, every=0.5)
    say(f"restored from an older backup: serves {time.monotonic() - back:.1f} s after")
    # News must get through, though they are numbered as those that were seen before the restore.
    stage.apply("after-it", {})
    stage.settle(soak_probe.serves_or_rolls)
    assert not stage.bugs()


def _stop(cluster: Cluster) -> None:
    for name in (*OTHERS, "kube-apiserver", "etcd"):
        cluster.stop_component(name)


def _start(cluster: Cluster) -> None:
    for name in ("etcd", "kube-apiserver", *OTHERS):
        cluster.start_component(name)
