"""The API server answers 429 for a minute: to all requests, to half of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from cluster.faultproxy import FaultProxy
from cluster.replicas import admin
from cluster.services import Say, Services, gpu_nodes
from cluster.storms import MANY, storm
from controlplane import Binaries, Cluster
from harness import ACCOUNT, NAMESPACE, OperatorProcess, install

SECONDS = 60.0


@pytest.fixture(scope="module")
def hub(binaries: Binaries, inside: None) -> Iterator[Cluster]:
    with Cluster("storms", 2, binaries=binaries) as cluster:
        install(cluster)
        with gpu_nodes(cluster, "1x24xnvidia-h100-80gb", "storms-"):
            yield cluster


@pytest.fixture
async def services(hub: Cluster, share: float) -> AsyncIterator[Services]:
    async with admin(hub) as api:
        services = Services(api, f"storms-{share:.0%}".rstrip("%"))
        await services.begin()
        yield services


@pytest.mark.parametrize("share", [1.0, 0.5])
async def test_too_many_requests(hub: Cluster, services: Services, share: float, say: Say) -> None:
    with FaultProxy(hub.server, hub.ca) as proxy:
        kubeconfig = proxy.kubeconfig(hub.kubeconfig_for(NAMESPACE, ACCOUNT), "through-proxy")
        with OperatorProcess(hub, "storms", kubeconfig) as operator:
            await storm(services, proxy, operator, SECONDS, share, say)
            await services.delete(*MANY)
            await services.gone()
