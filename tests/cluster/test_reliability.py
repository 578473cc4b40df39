"""What happens to the whole of it: taken away in any order, moved between versions.

In short; `make reliability` plays more of it, and for longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from cluster.services import Say
from cluster.stage import PACE
from cluster.uninstalls import Installed, uninstall
from controlplane import Binaries, Cluster
from harness import ROOT, gpu_nodes, install
from upgrade import NoSuchVersion, Stage, earlier_version, tree_of

# Between the two every step came before every other.
ORDER = ("rights", "crds", "services", "operator", "clusters", "namespace")


@pytest.fixture(scope="module")
def alone(binaries: Binaries, inside: None) -> Iterator[Cluster]:
    """A cluster for these tests alone, from which the product is taken away again and again."""
    nodes = "2x8xnvidia-h100-80gb"
    with Cluster("reliability", 2, binaries=binaries) as cluster, gpu_nodes(cluster, nodes, *PACE):
        yield cluster


@pytest.mark.parametrize("order", [ORDER, ORDER[::-1]], ids=["rights first", "rights last"])
def test_taken_away_in_any_order(alone: Cluster, order: tuple[str, ...], say: Say) -> None:
    uninstall(Installed(alone), order, say)


def test_from_an_earlier_version_and_back(alone: Cluster, say: Say) -> None:
    """The operator alone; `make upgrade` moves the gateways too. Without history there is no earlier version here."""
    try:
        ref = earlier_version()
    except NoSuchVersion as missing:
        pytest.skip(str(missing))
    with tree_of(ref) as earlier, ExitStack() as stack:
        stage = Stage(alone, stack, nodes="")
        stage.begin(earlier, gateways=1)
        before = stage.world()
        stage.move_to(ROOT, gateways=False)
        assert not before.changes(stage.world()), "upgraded"
        stage.move_to(earlier, crds=False, gateways=False)
        assert not before.changes(stage.world()), "and back"
        assert not stage.bugs()
        requests = stage.end()
        assert requests.number("answered") == requests.sent > 0, requests.examples
        say(f"from {ref} and back: {requests.sent} requests, none lost")
    install(alone)
