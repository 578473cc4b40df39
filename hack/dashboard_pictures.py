"""`make dashboards-shown`: every panel on a real Prometheus that is fed by a run on a real control plane.

Some minutes: an operator, two gateways, a service under a load that steps, a good version that is promoted and a bad
one that is rolled back, and another service that is placed on a second cluster. A panel that must have data and has
none fails it. What the panels show is drawn into docs/pictures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

import dashboard_data
from autoscale_load import Load
from autoscale_stage import ACCELERATOR, TOKENS, Stage, staged
from controlplane import BenchError, Cluster, enter, find_binaries
from dashboard_data import Data, Span
from dashboard_drawing import drawn
from dashboard_panels import DASHBOARDS
from demo_clusters import member
from demo_rollout import BAD, ENDS, GOOD
from harness import METRICS_PORT, ROOT, wait_until
from harness import NAMESPACE as SYSTEM
from inferops.api import API_VERSION
from promserver import Prometheus

PICTURES = ROOT / "docs" / "pictures"
NAMESPACE, NAME, OTHER = "chat", "llama-8b", "east"
GPUS, MOST = 12, 9
EVERY, RATE = 1.0, 15.0  # seconds between two scrapes, and over which rates are taken
SCALING = {
    "minReplicas": 2,
    "maxReplicas": MOST,
    "scaleDown": {"after": "20s", "limit": {"percent": 100, "period": "10s"}},
}
ROLLOUT = {
    "steps": [{"weight": 20, "minDuration": "15s"}, {"weight": 50, "minDuration": "15s"}],
    "analysis": {"warmUp": "2s"},
    "keepWarm": "20s",
}
HOME = {
    "apiVersion": API_VERSION,
    "kind": "InferenceCluster",
    "metadata": {"name": "home", "namespace": SYSTEM},
    "spec": {"access": {"hub": True}},
}
PLACED = {
    "apiVersion": API_VERSION,
    "kind": "InferenceService",
    "metadata": {"name": "qwen-8b", "namespace": NAMESPACE},
    "spec": {
        "model": {"uri": "hf://Qwen/Qwen3-8B", "maxModelLen": 4096},
        "accelerators": [{"type": ACCELERATOR}],
        "scaling": {"replicas": 3},
        "placement": {"clusters": {}},
    },
}

console = Console(highlight=False, soft_wrap=True)


def scraped(stage: Stage) -> dict[str, list[str]]:
    """The addresses of what tells, by job."""
    return {
        "inferops-operator": [stage.operator.base.removeprefix("http://")],
        "inferops-gateway": [f"{gateway.address}:{METRICS_PORT}" for gateway in stage.gateways],
    }


async def play(stage: Stage, pace: float) -> None:
    """The run. `pace`: by which its parts are shorter."""
    async with Load(stage.urls, NAME, TOKENS, seed=1) as load:
        for rate, seconds, what in ((2.0, 30, "steady"), (8.0, 50, "four times as much"), (4.0, 20, "half of that")):
            console.print(f"{what}: {rate:.0f} requests a second")
            load.rate = rate
            await asyncio.sleep(seconds / pace)
        for change, what, outcome in ((GOOD, "a good version", "Promoted"), (BAD, "a bad one", "RolledBack")):
            console.print(f"{what} is rolled out")
            await asyncio.to_thread(_patch, stage, {**change, "rollout": ROLLOUT})
            ended = partial(_ended, stage, outcome)
            await asyncio.to_thread(wait_until, f"{what}: {outcome}", ended, 150, 0.5)
            await asyncio.sleep(10 / pace)
        load.rate = 1.0
        await asyncio.sleep(40 / pace)
        load.rate = 0.0


def _patch(stage: Stage, spec: Mapping[str, Any]) -> None:
    stage.cluster.kubectl("patch", "infs", NAME, "-n", NAMESPACE, "--type=merge", "-p", json.dumps({"spec": spec}))


def _ended(stage: Stage, outcome: str) -> bool:
    """Whether the newest rollout has ended so. Raises RuntimeError where it ended otherwise."""
    told = json.loads(stage.cluster.kubectl("get", "infs", NAME, "-n", NAMESPACE, "-o", "json"))
    rollout, history = told["status"].get("rollout", {}), told["status"].get("rollout", {}).get("history", [])
    current = told["status"].get("observedGeneration") == told["metadata"]["generation"]
    if not (current and history and rollout["phase"] in ENDS):
        return False
    newest = history[0]
    if newest["revision"] != told["status"]["latestRevision"]:
        return False
    if newest["outcome"] != outcome:
        raise RuntimeError(f"the rollout is {newest['outcome']}, not {outcome}: {newest['message']}")
    return True


def run(folder: Path, pace: float) -> tuple[Data, Span, set[str]]:
    """Play it, and ask for every panel. Returns also the alerts that fired at the end."""
    with (
        Cluster("demo", binaries=find_binaries()) as cluster,
        Cluster(OTHER, 1, binaries=find_binaries()) as other,
        staged(cluster, GPUS, 5.0, "shown-") as stage,
        member(cluster, other, f"1x8x{ACCELERATOR}", "eu", {ACCELERATOR: 0.6}),
        Prometheus(folder, scraped(stage), EVERY) as prometheus,
    ):
        cluster.kubectl("create", "namespace", NAMESPACE)
        begin = time.time()
        stage.apply(NAMESPACE, NAME, SCALING)
        for each in (HOME, PLACED):
            cluster.kubectl("apply", "-f", "-", input=json.dumps(each))
        cluster.kubectl("wait", "--for=condition=Ready", f"infs/{NAME}", "-n", NAMESPACE, "--timeout=90s")
        asyncio.run(play(stage, pace))
        span = Span(begin, time.time(), 1.0)
        values = {"namespace": NAMESPACE, "service": NAME, "cluster": ".*"}
        return dashboard_data.evaluated(prometheus, span, RATE, values), span, prometheus.alerts()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pace", type=float, default=1.0, help="parts of the run are so many times as short")
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    given = parser.parse_args()
    try:
        find_binaries()
        enter()
        with tempfile.TemporaryDirectory(prefix="inferops-prometheus-") as folder:
            data, span, alerts = run(Path(folder), given.pace)
    except (BenchError, TimeoutError, RuntimeError, ValueError) as error:
        console.print(f"[bold red]{error}[/]")
        return 1
    given.pictures.mkdir(parents=True, exist_ok=True)
    for dashboard in DASHBOARDS:
        path = given.pictures / f"dashboard-{dashboard.name}.svg"
        path.write_text(drawn(dashboard, dashboard_data.of(data, dashboard), span))
    shown = sum(bool(lines) for lines in data.values())
    console.print(f"{shown} of {len(data)} panels have data, over {span.end - span.begin:.0f} s; alerts: {alerts or 0}")
    without = dashboard_data.missing(data)
    for each in without:
        console.print(f"no data: {each}", style="red", markup=False)
    return 1 if without else 0


if __name__ == "__main__":
    sys.exit(main())
