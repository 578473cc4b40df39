"""A real Prometheus on the loopback interface: it scrapes what it is told to, reads our rules, and answers queries."""

from __future__ import annotations

import json
import math
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import yaml

from fieldtools import find
from harness import ROOT, free_port, wait_until

RULES = ROOT / "charts" / "inferops" / "alerts.yaml"


class Series(NamedTuple):
    """One line of a panel: its labels, and its values by Unix seconds. What is no number is left out."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


class Prometheus:
    """As a context manager it runs until its end. Raises BenchError where it is not built, RuntimeError with the end of
    its log where it does not start."""

    def __init__(self, folder: Path, targets: Mapping[str, Sequence[str]], every: float) -> None:
        """`targets`: host:port by job. `every`: seconds between two scrapes, and two looks at the rules."""
        self._folder, self._port = folder, free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        jobs = [
            {"job_name": job, "honor_labels": True, "static_configs": [{"targets": list(hosts)}]}
            for job, hosts in targets.items()
        ]
        pace = {"scrape_interval": _milliseconds(every), "evaluation_interval": _milliseconds(max(every, 1))}
        self._config = {"global": pace, "rule_files": [str(RULES)], "scrape_configs": jobs}

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        config, log = self._folder / "prometheus.yaml", self._folder / "prometheus.log"
        config.write_text(yaml.safe_dump(self._config))
        command = [str(find("prometheus")), f"--config.file={config}", f"--storage.tsdb.path={self._folder / 'data'}"]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*command, f"--web.listen-address=127.0.0.1:{self._port}"],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_until("Prometheus ready, with an answer of all that it scrapes", self._ready, 30)
        except TimeoutError as error:
            self._process.kill()
            raise RuntimeError(f"{error}:\n{log.read_text(errors='replace')[-2000:]}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def range(self, expr: str, begin: float, end: float, step: float) -> list[Series]:
        """The values of an expression over a time. Raises ValueError with Prometheus' words where it is wrong."""
        found = self._ask("query_range", query=expr, start=begin, end=end, step=step)
        return [
            Series(each["metric"], [(float(at), float(value)) for at, value in each["values"] if _finite(value)])
            for each in found["result"]
        ]

    def alerts(self) -> set[str]:
        """Names of those that fire."""
        return {each["labels"]["alertname"] for each in self._ask("alerts")["alerts"] if each["state"] == "firing"}

    def targets(self) -> dict[str, str]:
        """The health of each target by its address."""
        return {each["labels"]["instance"]: each["health"] for each in self._ask("targets")["activeTargets"]}

    def _ask(self, what: str, **values: object) -> Any:
        query = urllib.parse.urlencode({name: str(value) for name, value in values.items()})
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{what}?{query}", timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(f"{values.get('query')}: {json.load(error).get('error')}") from error

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2):
                found = self.targets()
        except OSError:
            return False
        return bool(found) and set(found.values()) == {"up"}


def _finite(value: str) -> bool:
    return math.isfinite(float(value))


def _milliseconds(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
