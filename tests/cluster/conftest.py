"""Fixtures of the tests that run against a real Kubernetes: its binaries, its namespace, its clusters.

The order matters. A build needs the network and so comes before the namespace is entered; entering wants a process
with one thread, and so comes lazily, with the first test that asks for a cluster, and never in the unit tests.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from cluster.placements import Fleet, fleet_of
from cluster.services import Say
from controlplane import Binaries, Cluster, enter, find_binaries
from harness import begin_namespace

StartCluster = Callable[..., Cluster]

_count = itertools.count(1)


@pytest.fixture(scope="session")
def binaries(pytestconfig: pytest.Config) -> Binaries:
    """The commands of Kubernetes, from the cache or built: five minutes, once, during which it says how far it is."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"controlplane: {line}", flush=True)

    return find_binaries(say)


@pytest.fixture(scope="session")
def inside(binaries: Binaries) -> None:
    """From here to its end, this process is in a network namespace of the bench's own."""
    enter()


@pytest.fixture(scope="session")
def cluster(binaries: Binaries, inside: None) -> Iterator[Cluster]:
    """The cluster that all tests share, the hub, with an audit log. Work in a `namespace` of your own."""
    with Cluster("hub", 0, audit=True, binaries=binaries) as running:
        yield running


@pytest.fixture(scope="session")
def member(binaries: Binaries, inside: None) -> Iterator[Cluster]:
    """A second cluster that all tests of several clusters share."""
    with Cluster("member", 1, audit=True, binaries=binaries) as running:
        yield running


@pytest.fixture(scope="session")
def fleet(cluster: Cluster, binaries: Binaries) -> Iterator[Fleet]:
    """The hub with three members, that all tests of placement share."""
    with fleet_of(cluster, binaries) as running:
        yield running


@pytest.fixture
def start_cluster(binaries: Binaries, inside: None) -> Iterator[StartCluster]:
    """Start a cluster that is gone after the test, `start_cluster(name, audit=True)`; two at a time at most."""
    running: list[Cluster] = []

    def start(name: str = "other", *, audit: bool = False) -> Cluster:
        started = Cluster(name, 2 + len(running), audit=audit, binaries=binaries)
        started.start()
        running.append(started)
        return started

    yield start
    for started in reversed(running):
        started.stop()


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """The name of a fresh namespace in `cluster`, in which pods can be created at once."""
    name = f"test-{next(_count)}"
    begin_namespace(cluster, name)
    yield name
    cluster.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Prints a figure, also where the test passes."""

    def say(line: str) -> None:
        with capsys.disabled():
            print(f"\n    {line}", end="", flush=True)

    return say
