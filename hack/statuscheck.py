"""Judges every status that was written: by kstatus itself, by Argo CD's health check, and by the rules of both.

The statuses are those that operators wrote to the API servers whose audit logs are in one folder. kstatus is what Helm
and Flux wait by, and its verdict alone would let pass what confuses others: the rules are those of Flux's checker and
what this project promises beside them. `python hack/statuscheck.py FOLDER` judges the logs of a folder, and
hack/cluster_tests.py does so after each module of tests.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldtools import find

Json = dict[str, Any]

HEALTH = Path(__file__).resolve().parent.parent / "manifests" / "gitops" / "argocd" / "health.lua"
NEEDS = ("kstatus", "lua")
JUDGED = ("inferenceservices", "inferenceclusters")
SHOWN = 10  # violations that are printed

# What Argo CD says of what kstatus says. Suspended is Argo CD's own word for what waits for a person.
HEALTHS = {
    "Current": {"Healthy"},
    "Failed": {"Degraded"},
    "InProgress": {"Progressing", "Suspended"},
    "Terminating": {"Progressing"},
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was made of one object."""

    kstatus: str  # Current, Failed, InProgress or Terminating
    health: str  # Healthy, Degraded, Progressing or Suspended


def violations(folder: Path) -> tuple[int, list[str]]:
    """How many different statuses the audit logs in `folder` hold, and what is wrong with them."""
    objects = list(written(sorted(folder.rglob("*.log"))))
    found = [
        f"{_named(each)}: {wrong}\n{_shown(each, verdict)}"
        for each, verdict in zip(objects, verdicts(objects), strict=True)
        for wrong in broken(each, verdict)
    ]
    return len(objects), found


def report(folder: Path) -> tuple[bool, str]:
    """Whether all is well, and a text for people."""
    count, found = violations(folder)
    if not found:
        return True, f"{count} statuses, all as kstatus and Argo CD want them"
    more = [f"... and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return False, "\n".join([f"{len(found)} violations in {count} statuses:", *found[:SHOWN], *more])


def written(logs: Iterable[Path]) -> Iterator[Json]:
    """The objects whose status an operator wrote, as they then were; of those that no judge can tell apart, one."""
    seen = set()
    for log in logs:
        with log.open() as lines:
            for line in lines:
                if (found := _status_of(line)) is not None and (key := _key(found)) not in seen:
                    seen.add(key)
                    yield found


def verdicts(objects: Sequence[Json]) -> list[Verdict]:
    """What the real judges say of each."""
    if not objects:
        return []
    lines = "".join(json.dumps(each) + "\n" for each in objects)
    kstatus, health = _said(lines, find("kstatus")), _said(lines, find("lua"), HEALTH)
    return [Verdict(one["status"], other["status"]) for one, other in zip(kstatus, health, strict=True)]


def broken(judged: Json, verdict: Verdict) -> Iterator[str]:
    """The rules that an object breaks, and the judges that it misleads, in words."""
    yield from against_rules(judged)
    yield from mistaken(judged, verdict)


def against_rules(judged: Json) -> Iterator[str]:
    """The rules that an object breaks, in words."""
    meta, status = judged["metadata"], judged.get("status", {})
    conditions: list[Json] = status.get("conditions", [])
    by_type = {each["type"]: each["status"] for each in conditions}
    ready, observed, generation = by_type.get("Ready"), status.get("observedGeneration", 0), meta["generation"]
    stalled, reconciling = (by_type.get(kind) for kind in ("Stalled", "Reconciling"))
    if len(by_type) != len(conditions):
        yield "a condition is there twice"
    if ready is None and observed:
        yield "there is no condition Ready, and the status tells of a generation"
    if observed > generation:
        yield f"status.observedGeneration {observed} is beyond the generation {generation}"
    if any(each.get("observedGeneration", 0) > generation for each in conditions):
        yield f"a condition's observedGeneration is beyond the generation {generation}"
    if {stalled, reconciling} & {"False", "Unknown"}:
        yield "Stalled and Reconciling are there only while they are True"
    if stalled and reconciling:
        yield "Stalled and Reconciling are there together"
    if (ready == "False") != bool(stalled):
        yield "Ready is False with Stalled, and only then"
    if (ready == "Unknown") != bool(reconciling):
        yield "Ready is Unknown with Reconciling, and only then"
    of = [each.get("observedGeneration") for each in conditions if each["type"] == "Ready"]
    if observed == generation and of not in ([], [generation]):
        yield "Ready is of an older generation than status.observedGeneration: `kubectl wait` goes by the condition's"


def mistaken(judged: Json, verdict: Verdict) -> Iterator[str]:
    """Where the judges come to another verdict than the status means, or to two."""
    meta, status = judged["metadata"], judged.get("status", {})
    ready = {each["type"]: each["status"] for each in status.get("conditions", [])}.get("Ready")
    now = meta["generation"] == status.get("observedGeneration")
    if "deletionTimestamp" in meta:
        expected = "Terminating"
    elif not now:
        expected = "InProgress"
    else:
        expected = {"True": "Current", "False": "Failed"}.get(ready or "", "InProgress")
    if verdict.kstatus != expected:
        yield f"kstatus says {verdict.kstatus} where it should say {expected}"
    if verdict.health not in HEALTHS.get(verdict.kstatus, ()):
        yield f"Argo CD says {verdict.health} where kstatus says {verdict.kstatus}"


def _status_of(line: str) -> Json | None:
    """The object of an event, where it is one of a status that an operator wrote."""
    if '"subresource":"status"' not in line or not line.endswith("\n"):
        return None
    event = json.loads(line)
    of, by = event["objectRef"], event["user"].get("username", "")
    ours = of.get("apiGroup") == "serving.inferops.dev" and of["resource"] in JUDGED
    accepted = event.get("responseStatus", {}).get("code", 0) < 300 and "responseObject" in event
    if not (ours and accepted and by.startswith("system:serviceaccount:")) or "dryRun=" in event["requestURI"]:
        return None
    found: Json = event["responseObject"]
    return found if "metadata" in found and "generation" in found["metadata"] else None


def _key(judged: Json) -> str:
    """What a judge can tell two objects apart by: everything but their messages, times and counts."""
    meta, status = judged["metadata"], judged.get("status", {})
    told = [
        (each["type"], each["status"], each["reason"], each.get("observedGeneration"))
        for each in status.get("conditions", [])
    ]
    gates = [(each["name"], each["verdict"]) for each in status.get("rollout", {}).get("gates", [])]
    which = (judged["kind"], meta.get("namespace"), meta["name"], meta["generation"], "deletionTimestamp" in meta)
    return repr((which, status.get("observedGeneration"), told, gates))


def _said(lines: str, *command: Path) -> list[Json]:
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0].name}: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def _named(judged: Json) -> str:
    meta = judged["metadata"]
    return f"{judged['kind']} {meta.get('namespace', '')}/{meta['name']}, resourceVersion {meta['resourceVersion']}"


def _shown(judged: Json, verdict: Verdict) -> str:
    meta, status = judged["metadata"], judged.get("status", {})
    head = f"  generation {meta['generation']}, observed {status.get('observedGeneration')}; {verdict}"
    told = [(each, each.get("observedGeneration")) for each in status.get("conditions", [])]
    rows = [
        f"  {each['type']}={each['status']} of {observed}, {each['reason']}: {each['message']:.90}"
        for each, observed in told
    ]
    return "\n".join([head, *rows])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of audit logs, as CONTROLPLANE_AUDIT_LOGS names it")
    sound, told = report(parser.parse_args().folder)
    print(told)
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
