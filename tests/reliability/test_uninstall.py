"""The product taken away in many orders, each with its reverse, and installed again each time."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cluster.services import Say, gpu_nodes
from cluster.uninstalls import Installed, orders, uninstall
from controlplane import Binaries, Cluster

NUMBER = int(os.environ.get("ORDERS") or 8)  # and as many reverses; there are 720


@pytest.fixture(scope="module")
def alone(binaries: Binaries, inside: None) -> Iterator[Cluster]:
    with Cluster("uninstall", 1, binaries=binaries) as cluster, gpu_nodes(cluster, "1x8xnvidia-h100-80gb", "gone-"):
        yield cluster


@pytest.mark.parametrize("order", orders(NUMBER), ids="-".join)
def test_taken_away_in_any_order(alone: Cluster, order: tuple[str, ...], say: Say) -> None:
    uninstall(Installed(alone), order, say)
