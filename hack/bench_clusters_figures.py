"""Figures of a hub's operator between two looks: what it asked for, wrote and used, and how long reconciles took."""

from __future__ import annotations

import json
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from bench_clusters_fleet import Fleet
from controlplane import Cluster
from harness import OperatorProcess, cpu_seconds

console = Console(highlight=False, soft_wrap=True)
MIB = 1024 * 1024
DURATION = "inferops_reconcile_duration_seconds"
REQUESTS = "inferops_kube_requests"
WRITES = ("create", "apply", "delete")
# Heartbeats, and what the hub's own controllers write now and then.
QUIET = ("leases", "nodes", "nodes/status")


@dataclass(frozen=True)
class Look:
    """All counts at one moment."""

    at: float  # seconds, of a clock that does not go back
    cpu: float  # seconds of the operator
    rss: int  # bytes
    hub: Counter[str]  # requests of the operator to the hub, by verb
    members: Counter[str]  # requests to members, by verb and what
    silent: int  # of these, such as nobody answered
    written: Counter[str]  # on the hub, by verb and resource
    buckets: Counter[float]  # reconciles by the upper bound of their time
    depth: float  # keys that wait
    plane: dict[str, float]  # CPU seconds of the hub's own components


def look(cluster: Cluster, operator: OperatorProcess, fleet: Fleet, silent: set[str]) -> Look:
    """`silent`: members that accept requests and do not answer."""
    told = asked(fleet)
    members = sum(told.values(), Counter())
    written: Counter[str] = Counter()
    for (resource, verb), number in cluster.write_counts().items():
        if resource not in QUIET:
            written[f"{verb} {resource}"] += int(number)
    hub: Counter[str] = Counter()
    below: dict[float, float] = {}
    depth = 0.0
    for family in text_string_to_metric_families(operator.get("/metrics")[1]):
        for sample in family.samples:
            if sample.name == f"{REQUESTS}_total":
                hub[f"{sample.labels['verb']} {sample.labels['kind']}"] += int(sample.value)
            elif sample.name == f"{DURATION}_bucket":
                below[float(sample.labels["le"])] = sample.value
            elif sample.name == "inferops_queue_depth":
                depth = sample.value
    bounds = sorted(below)
    counts = {
        bound: int(below[bound] - below.get(last, 0)) for last, bound in zip([-1.0, *bounds], bounds, strict=False)
    }
    unanswered = sum(sum(told[name].values()) for name in silent)
    now, cpu = time.monotonic(), operator.cpu_seconds()
    plane = {name: cpu_seconds(pid) for name, pid in cluster.pids().items()}
    return Look(now, cpu, operator.rss(), hub, members, unanswered, written, Counter(counts), depth, plane)


def asked(fleet: Fleet) -> dict[str, Counter[str]]:
    """Requests that came to each member, by verb and what."""
    with urllib.request.urlopen(f"http://127.0.0.1:{fleet.control}/counts", timeout=30) as response:
        return {name: Counter(counts) for name, counts in json.load(response).items()}


def silence(fleet: Fleet, name: str, *, silent: bool = True) -> None:
    """From now on this member answers nothing more, or does again."""
    url = f"http://127.0.0.1:{fleet.control}/{'silence' if silent else 'answer'}/{name}"
    with urllib.request.urlopen(url, data=b"", timeout=30):
        pass


def figure(name: str, value: str) -> None:
    console.print(f"  {name:<58} {value}")


def tell(before: Look, after: Look) -> None:
    """Print what happened in between."""
    seconds, cpu = after.at - before.at, after.cpu - before.cpu
    figure("operator, CPU", f"{cpu:.1f} s in {seconds:.0f} s ({100 * cpu / seconds:.1f} % of a core)")
    figure("operator, resident memory", f"{after.rss / MIB:.0f} MiB")
    spent = {name: at - before.plane[name] for name, at in after.plane.items()}
    figure("the hub's own components, CPU", ", ".join(f"{name} {cpu:.1f} s" for name, cpu in spent.items()))
    for name, counts in (("the hub", after.hub - before.hub), ("members", after.members - before.members)):
        figure(f"requests to {name}", f"{counts.total()} ({counts.total() / seconds:.1f}/s): {_listed(counts)}")
    figure("    of these to members that do not answer", str(after.silent - before.silent))
    for name, counts in (("hub", after.written - before.written), ("members", _writes(after) - _writes(before))):
        figure(f"writes on {name}", f"{counts.total()} {_listed(counts)}")
    found = after.buckets - before.buckets
    figure("reconciles", f"{found.total()}: {times(found)}")
    figure("keys that wait", f"{after.depth:.0f}")


def times(buckets: Counter[float]) -> str:
    return ", ".join(f"p{share} {1000 * quantile(buckets, share / 100):.1f} ms" for share in (50, 90, 99))


def quantile(buckets: Counter[float], share: float) -> float:
    """Seconds, in proportion within the bucket."""
    left, last = share * buckets.total(), 0.0
    for bound in sorted(buckets):
        if left <= buckets[bound] and buckets[bound]:
            return last + (bound - last) * left / buckets[bound] if bound < float("inf") else last
        left, last = left - buckets[bound], bound
    return last


def _writes(at: Look) -> Counter[str]:
    return Counter({name: number for name, number in at.members.items() if name.split()[0] in WRITES})


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.most_common(8))
