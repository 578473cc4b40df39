"""`make soak MINUTES=20`: the product under churn and bounded traffic, and whether anything of it grows or is lost.

A real control plane, simulated GPU nodes and engines, two replicas of the operator and two gateways. Every ten seconds
each process of ours is looked at. Ends with a table and exit code 1 where a figure grows beyond its limit, a request
was lost, something of ours is left after the last service, GPUs had no owner, or a reconcile ended as `result="bug"`.
docs/reliability.md says what the figures mean.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

import soak_probe
from controlplane import BenchError, Cluster, enter, find_binaries
from harness import Child, OperatorProcess, gpu_nodes, install, install_gateway, wait_until
from soak_churn import NODES, PACE, Churn
from soak_figures import HOUR, MIB, Answer, Orphans, Requests, Sample, all_growth
from soak_traffic import Traffic

LOOK_EVERY = 10.0  # seconds
TICK = 1.0
GRACE = 60.0  # seconds that pods of a service that is gone may take to end
SETTLES = 180.0  # seconds after the last change, in which a rollout that has just begun finds its evidence
SHORT = 420.0  # seconds of a run in which no process can be judged, and all are told
LATE = 60.0  # seconds after which all is known that excuses a request
UNHANDLED = ("Task exception was never retrieved", "was never awaited", "Task was destroyed but it is pending")

console = Console(highlight=False, soft_wrap=True)


class Looks:
    """Looks at all processes, and at who holds GPUs, in a thread of its own."""

    def __init__(self, cluster: Cluster, churn: Churn) -> None:
        self.series: defaultdict[str, list[Sample]] = defaultdict(list)
        self.orphans = Orphans(GRACE)
        self.bugs: dict[str, float] = {}
        self.logs: dict[str, Path] = {}
        self._cluster, self._churn = cluster, churn
        self._names: dict[tuple[str, str], str] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="looks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._over.wait(LOOK_EVERY):
            for child in [*self._churn.operators, *self._churn.gateways]:
                self._look_at(child)
            try:
                pods, services = soak_probe.pods(self._cluster), soak_probe.services(self._cluster)
            except (OSError, BenchError):  # the API server is away
                continue
            uids = frozenset(str(each["metadata"]["uid"]) for each in services)
            self.orphans.look(time.monotonic(), soak_probe.gpu_pods(pods, services, self._names), uids)

    def _look_at(self, child: Child) -> None:
        name = f"{child.name} {child.process.pid}"
        self.logs[name] = child.log
        if isinstance(child, OperatorProcess) and child.leads():
            name += " leads"  # and has tasks for it, which are no growth
        if (found := soak_probe.sample(child)) is not None:
            self.series[name].append(found)
            self.bugs[name] = max(self.bugs.get(name, 0.0), soak_probe.bugs(child))


class Soak:
    """One run and what came of it."""

    def __init__(self, cluster: Cluster, seconds: float, seed: int) -> None:
        self.cluster, self.seconds, self.seed = cluster, seconds, seed
        self.requests = Requests()
        self.left: list[str] = []
        self.unsettled: list[str] = []
        self.settled_after: float | None = None
        self.unhandled: list[str] = []
        self._answers: list[Answer] = []

    def run(self) -> None:
        with ExitStack() as stack:
            stack.enter_context(gpu_nodes(self.cluster, NODES, *PACE, timeout=90))
            install(self.cluster)
            install_gateway(self.cluster)
            self.traffic = Traffic((), self.seed)
            self.churn = Churn(self.cluster, self.traffic, stack, self.seconds, self.seed)
            self.looks = Looks(self.cluster, self.churn)
            self.churn.begin()
            wait_until("the first services", self.churn.settled, SETTLES, every=1)
            stack.enter_context(self.traffic)
            self.looks.start()
            stack.callback(self.looks.stop)
            self._play()
            self._end()
            self.looks.stop()
            self.unhandled = [*self._unhandled()]

    def _play(self) -> None:
        began = told = time.monotonic()
        while (now := time.monotonic()) - began < self.seconds:
            self.churn.tick()
            self._judge(now - LATE)
            if now - told >= 60:
                told = now
                console.print(f"  {(now - began) / 60:4.1f} min  {self._line()}", style="dim", markup=False)
            time.sleep(max(0.0, TICK - (time.monotonic() - now)))

    def _end(self) -> None:
        """No more churn, and what was broken is mended; then everything is deleted."""
        self.churn.end()
        began = time.monotonic()
        try:
            wait_until("all Ready", self.churn.settled, SETTLES, every=1)
            self.settled_after = time.monotonic() - began
        except TimeoutError:
            self.unsettled = self.churn.unsettled()
        self.traffic.stop()
        self._judge(time.monotonic() + LATE)
        self.churn.delete_all()
        try:
            wait_until("nothing left", lambda: not soak_probe.left(self.cluster), SETTLES, every=2)
        except TimeoutError:
            self.left = soak_probe.left(self.cluster)

    def _judge(self, until: float) -> None:
        self._answers += self.traffic.take()
        late = [answer for answer in self._answers if answer.ended <= until]
        self._answers = [answer for answer in self._answers if answer.ended > until]
        for answer in late:
            self.requests.count(answer, self.churn.excuses, frozenset(self.churn.seen.faulty))
        self.churn.excuses = [each for each in self.churn.excuses if each.until >= until - 2 * LATE]

    def _unhandled(self) -> Iterator[str]:
        for name, log in self.looks.logs.items():
            for line in log.read_text(errors="replace").splitlines():
                if any(word in line for word in UNHANDLED):
                    yield f"{name}: {line[:200]}"

    def _line(self) -> str:
        asked = self.requests
        now = {name: samples[-1] for name, samples in self.looks.series.items() if samples}
        sizes = ", ".join(f"{(each.rss or 0) / MIB:.0f}" for each in now.values() if time.monotonic() - each.at < 30)
        lost, broken = asked.number("lost"), asked.number("broken")
        return f"{asked.sent} requests judged, {lost} lost, {broken} broken; RSS {sizes} MiB"

    # What came of it

    def faults(self) -> Iterator[str]:
        """Everything that is not as promised."""
        for each in all_growth(self.looks.series):
            if each.verdict == "grows":
                yield f"{each.process}: {each.figure} grows by {each.an_hour:.0f} an hour"
        if lost := self.requests.number("lost"):
            yield f"{lost} of {self.requests.sent} requests were lost, for example {self.requests.examples[:3]}"
        if not self.requests.number("answered"):
            yield "no request was answered"
        if self.settled_after is None:
            yield f"not all Ready {SETTLES:.0f} s after the last change: {self.unsettled}"
        if self.left:
            yield f"{len(self.left)} objects are left after the last service: {self.left[:10]}"
        if self.looks.orphans.orphaned > 0:
            yield f"{self.looks.orphans.orphaned:.0f} GPU-seconds without an owner"
        if bugs := sum(self.looks.bugs.values()):
            yield f'{bugs:.0f} reconciles ended as result="bug"'
        if self.unhandled:
            yield f"errors that nobody took: {self.unhandled[:3]}"
        for outcome, number in self.churn.seen.outcomes.items():
            if outcome.startswith("bad version: Promoted"):
                yield f"{number} bad versions were promoted"

    def told(self) -> Iterator[str]:
        """The figures, a line each."""
        yield f"{self.seconds / 60:.0f} minutes, seed {self.seed}"
        yield "done: " + ", ".join(f"{what} {number}" for what, number in sorted(self.churn.done.items()))
        yield "rollouts: " + ", ".join(f"{what} {n}" for what, n in sorted(self.churn.seen.outcomes.items()))
        asked = self.requests
        yield f"requests: {asked.sent} sent, {asked.number('answered')} answered whole, {asked.number('lost')} lost"
        yield from (f"  {number} {what}" for what, number in sorted(asked.codes.items()))
        orphans = self.looks.orphans
        yield f"GPU-seconds without their service: {orphans.draining:.0f} draining, {orphans.orphaned:.0f} orphaned"
        settled = f"{self.settled_after:.0f} s" if self.settled_after is not None else "never"
        yield f"all Ready {settled} after the last change; {len(self.left)} objects left after all was deleted"
        yield from self._table()

    def _table(self) -> Iterator[str]:
        head = f"{'process':<34} {'figure':<8} {'minutes':>7} {'first':>8} {'last':>8} {'most':>8}"
        yield f"{head} {'an hour (middle half)':>28}"
        for each in all_growth(self.looks.series):
            if each.verdict == "short" and self.seconds > SHORT:
                continue
            unit = MIB if each.figure == "rss" else 1.0
            slope = f"{each.an_hour / unit:+.1f} ({each.low / unit:+.1f} to {each.high / unit:+.1f})"
            values = "".join(f" {value / unit:8.1f}" for value in (each.first, each.last, each.highest))
            yield f"{each.process:<34} {each.figure:<8} {each.seconds / 60:7.1f}{values} {slope:>28} {each.verdict}"
        for process, samples in self.looks.series.items():
            first, last = samples[0], samples[-1]
            if last.at > first.at:
                cpu = ((last.cpu or 0.0) - (first.cpu or 0.0)) / (last.at - first.at)
                yield f"{process:<34} CPU {100 * cpu:.1f} % of a core over {(last.at - first.at) / 60:.1f} minutes"

    def dump(self) -> dict[str, Any]:
        """All that was measured."""
        return {
            "seconds": self.seconds,
            "seed": self.seed,
            "done": self.churn.done,
            "rollouts": self.churn.seen.outcomes,
            "requests": {"sent": self.requests.sent, **self.requests.codes},
            "lost": [asdict(each) for each in self.requests.examples],
            "series": {name: [asdict(each) for each in samples] for name, samples in self.looks.series.items()},
            "growth": [{**asdict(each), "verdict": each.verdict} for each in all_growth(self.looks.series)],
            "faults": [*self.faults()],
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1, help="of what happens when")
    parser.add_argument("--json", type=Path, help="where to write all samples")
    given = parser.parse_args()
    if not 0 < given.minutes <= 24 * 60:
        parser.error("--minutes: between 0 and 1440, for example 20")
    binaries = find_binaries()
    enter()
    with Cluster("soak", binaries=binaries) as cluster:
        soak = Soak(cluster, given.minutes * HOUR / 60, given.seed)
        try:
            soak.run()
        except (BenchError, TimeoutError, RuntimeError) as error:
            console.print(f"[bold red]{error}[/]", markup=True)
            return 1
    for line in soak.told():
        console.print(line, markup=False)
    if given.json is not None:
        given.json.write_text(json.dumps(soak.dump()))
    broken = [*soak.faults()]
    for line in broken:
        console.print(f"not as promised: {line}", style="red", markup=False)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
