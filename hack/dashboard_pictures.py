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
from pathlib import Path
from typing import Any

from rich.console import Console

import dashboard_data
from autoscale_load import Load
from autoscale_stage import ACCELERATOR, Stage, staged
from controlplane import BenchError, Cluster, enter, find_binaries
from dashboard_data import Data, Span
from dashboard_drawing import drawn
from dashboard_panels import DASHBOARDS
from demo_clusters import member
from demo_rollout import BAD, ENDS, GOOD
from harness import METRICS_PORT, ROOT
from harness import NAMESPACE as SYSTEM
from inferops.api import API_VERSION
from promserver import Prometheus

PICTURES = ROOT / "docs" / "pictures"
NAMESPACE, NAME, OTHER = "chat", "llama-8b", "east"
GPUS, MOST = 12, 9
TOKENS = 12  # of an answer: short ones, of which more can be asked
LONGEST = 180.0  # seconds of a rollout
POINTS = 150  # of a line, at most
SHOWN = ("service", "fleet")  # dashboards of which there are pictures
EVERY, RATE = 1.0, 15.0  # seconds between two scrapes, and over which rates are taken
SCALING = {
    "minReplicas": 2,
    "maxReplicas": MOST,
    "scaleDown": {"after": "20s", "limit": {"percent": 100, "period": "10s"}},
}
ROLLOUT = {
    "steps": [{"weight": 25, "minDuration": "10s"}, {"weight": 50, "minDuration": "10s"}],
    # A few hundred requests show no more than that
    "analysis": {"warmUp": "2s", "margin": 0.4, "metrics": ["errorRate", "ttft"]},
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
        "placement": {"clusters": {}, "regions": ["eu"]},
    },
}

console = Console(highlight=False, soft_wrap=True)


def scraped(stage: Stage) -> dict[str, list[str]]:
    """The addresses of what tells, by job."""
    return {
        "inferops-operator": [stage.operator.base.removeprefix("http://")],
        "inferops-gateway": [f"{gateway.address}:{METRICS_PORT}" for gateway in stage.gateways],
    }


async def play(stage: Stage, pace: float) -> tuple[list[str], float]:
    """The run. `pace`: by which its parts are shorter. Returns what did not go as it should, and when it was over."""
    wrong = []
    async with Load(stage.urls, NAME, TOKENS, seed=1) as load:
        for rate, seconds, what in ((4.0, 25, "steady"), (16.0, 40, "four times as much"), (8.0, 15, "half of that")):
            console.print(f"{what}: {rate:.0f} requests a second")
            load.rate = rate
            await asyncio.sleep(seconds / pace)
        for change, what, outcome in ((GOOD, "a good version", "Promoted"), (BAD, "a bad one", "RolledBack")):
            console.print(f"{what} is rolled out")
            ended = await asyncio.to_thread(_roll_out, stage, change)
            if ended != outcome:
                wrong.append(f"the rollout of {what}: {ended}, not {outcome}")
            await asyncio.sleep(10 / pace)
        load.rate = 4.0
        await asyncio.sleep(25 / pace)
        load.rate = 0.0
        return wrong, time.time()


def _roll_out(stage: Stage, change: Mapping[str, Any]) -> str:
    """Change the service, and wait until its rollout has ended. Returns how; where it has not, its status."""
    patch = json.dumps({"spec": {**change, "rollout": ROLLOUT}})
    stage.cluster.kubectl("patch", "infs", NAME, "-n", NAMESPACE, "--type=merge", "-p", patch)
    began = time.monotonic()
    while time.monotonic() - began < LONGEST:
        time.sleep(0.5)
        if ended := _ended(_told(stage)):
            return ended
    return str(_told(stage)["status"].get("rollout"))


def _told(stage: Stage) -> dict[str, Any]:
    return dict(json.loads(stage.cluster.kubectl("get", "infs", NAME, "-n", NAMESPACE, "-o", "json")))


def _ended(told: Mapping[str, Any]) -> str:
    """How the rollout of the newest spec ended; empty: it has not."""
    status, rollout = told["status"], told["status"].get("rollout", {})
    history = rollout.get("history") or [{}]
    current = status.get("observedGeneration") == told["metadata"]["generation"]
    if not current or rollout.get("phase") not in ENDS or history[0].get("revision") != status["latestRevision"]:
        return ""
    return str(history[0]["outcome"])


def run(folder: Path, pace: float) -> tuple[Data, Span, list[str]]:
    """Play it, and ask for every panel. Returns also what went wrong."""
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
        wrong, end = asyncio.run(play(stage, pace))
        span = Span(begin, end, max(1.0, round((end - begin) / POINTS)))
        values = {"namespace": NAMESPACE, "service": NAME, "cluster": ".*"}
        return dashboard_data.evaluated(prometheus, span, RATE, values), span, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pace", type=float, default=1.0, help="parts of the run are so many times as short")
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    given = parser.parse_args()
    try:
        find_binaries()
        enter()
        with tempfile.TemporaryDirectory(prefix="inferops-prometheus-") as folder:
            data, span, wrong = run(Path(folder), given.pace)
    except (BenchError, TimeoutError, RuntimeError, ValueError) as error:
        console.print(f"[bold red]{error}[/]")
        return 1
    given.pictures.mkdir(parents=True, exist_ok=True)
    for dashboard in (each for each in DASHBOARDS if each.name in SHOWN):
        path = given.pictures / f"dashboard-{dashboard.name}.svg"
        path.write_text(drawn(dashboard, dashboard_data.of(data, dashboard), span))
    shown = sum(bool(lines) for lines in data.values())
    console.print(f"{shown} of {len(data)} panels have data, over {span.end - span.begin:.0f} s")
    wrong += [f"no data: {each}" for each in dashboard_data.missing(data)]
    for each in wrong:
        console.print(each, style="red", markup=False)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
