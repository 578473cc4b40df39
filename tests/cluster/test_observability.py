"""Every panel of every dashboard, asked of a real Prometheus that scrapes a real operator and real gateways."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import dashboard_data
from autoscale_load import Load
from autoscale_stage import ACCELERATOR, TOKENS, Stage, staged
from controlplane import Cluster
from dashboard_data import Data, Span
from dashboard_panels import DASHBOARDS
from dashboard_pictures import scraped
from harness import wait_until
from inferops.catalogue import accelerators
from promserver import Prometheus

NAMESPACE, NAME = "observed", "llama"
EVERY, RATE = 0.5, 5.0  # seconds between two scrapes, and over which rates are taken
GPUS, REPLICAS, SECONDS = 4, 2, 5.0


async def asked(stage: Stage) -> int:
    """Some seconds of traffic. Returns how many requests were answered whole."""
    async with Load(stage.urls, NAME, TOKENS, seed=1) as load:
        load.rate = 4.0
        await asyncio.sleep(SECONDS)
        load.rate = 0.0
    return sum(not each.error for each in load.sent)


def newest(data: Data, dashboard: str, panel: str) -> dict[str, float]:
    return {line.name: line.series.points[-1][1] for line in data[dashboard, panel]}


def test_every_panel_has_an_answer_on_a_real_prometheus(cluster: Cluster, tmp_path: Path) -> None:
    scaling = {"replicas": REPLICAS}
    with (
        staged(cluster, GPUS, 0.5, "observed-") as stage,
        Prometheus(tmp_path, scraped(stage), EVERY) as prometheus,
    ):
        cluster.kubectl("create", "namespace", NAMESPACE)
        began = time.time()
        stage.apply(NAMESPACE, NAME, scaling)
        cluster.kubectl("wait", "--for=condition=Ready", f"infs/{NAME}", "-n", NAMESPACE, "--timeout=60s")
        assert asyncio.run(asked(stage)) > 0
        values = {"namespace": NAMESPACE, "service": NAME, "cluster": ".*"}
        time.sleep(2 * EVERY)  # what came last is to be scraped
        data = dashboard_data.evaluated(prometheus, Span(began, time.time(), EVERY), RATE, values)
        assert set(prometheus.targets().values()) == {"up"}
        assert not prometheus.alerts()

        assert dashboard_data.missing(data) == []
        assert len(data) == sum(len(list(each.panels())) for each in DASHBOARDS)
        replicas = newest(data, "service", "Replicas wanted and had")
        assert replicas["wanted"] == replicas["there"] == replicas["ready"] == REPLICAS
        assert newest(data, "fleet", "Accelerators by cluster") == {
            "in-cluster used": REPLICAS,
            "in-cluster idle": GPUS - REPLICAS,
        }
        price = accelerators()[ACCELERATOR].price
        assert price is not None
        assert abs(newest(data, "service", "US dollars an hour")[""] - REPLICAS * price.usd_per_hour) < 1e-9
        assert newest(data, "operator", "Leaders")[""] == 1

        cluster.kubectl("delete", "infs", NAME, "-n", NAMESPACE)
        gone = f'inferops_service_info{{service="{NAME}"}}'
        wait_until("nothing is told of what is gone", lambda: not _now(prometheus, gone), 15)
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def _now(prometheus: Prometheus, expr: str) -> bool:
    return bool(prometheus.range(expr, time.time(), time.time() + 0.1, 1.0))
