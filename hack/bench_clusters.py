"""`make bench-clusters`: a thousand services on fifty member clusters, of which some are dead: how fast, how silent.

The hub is a real control plane with the real operator; the members are simulated, all by one process. Prints figures;
judges nothing. Run on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from bench_clusters_figures import Look, asked, console, figure, look, silence, tell
from bench_clusters_fleet import NAMESPACE, Fleet, cluster, fleet, kubeconfig, service
from bench_scale import create_all
from controlplane import Cluster, enter, find_binaries
from harness import NAMESPACE as HOME
from harness import ROOT, OperatorProcess, environ, install, wait_until
from inferops.kube.kinds import INFERENCE_CLUSTER, INFERENCE_SERVICE
from inferops.kube.owned import Object

LONGEST = 1800.0  # seconds until all are placed
STUCK = 330.0  # seconds without another one, after which the rest is left: longer than until all are looked at again
A_SECOND = 20.0  # services that are edited
# Silences of the last part, in which a member is lost: usually 30s, 5m and 30s.
SOON = ("--member-suspect-after=6s", "--member-lost-after=15s", "--member-stable-after=6s")


class Bench:
    """The hub with its members."""

    def __init__(self, hub: Cluster, members: Fleet, services: int) -> None:
        self.hub, self.members, self.services = hub, members, services
        self.silent = {each.name for each in members.members if each.dead == "silent"}
        self.dead = {each.name for each in members.members if each.dead}

    def look(self, operator: OperatorProcess) -> Look:
        return look(self.hub, operator, self.members, self.silent)

    def all(self) -> list[Object]:
        """All services, from the API server's cache: looking is not to slow down what is looked at."""
        found: list[Object] = json.loads(self.hub.get(INFERENCE_SERVICE.path(NAMESPACE) + "?resourceVersion=0"))[
            "items"
        ]
        return found

    def register(self) -> None:
        pairs = []
        for number, member in enumerate(self.members.members):
            meta = {"name": member.name, "namespace": HOME}
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta}
            pairs.append({**secret, "stringData": {"kubeconfig": kubeconfig(member)}})
            pairs.append(cluster(member, HOME, number, len(self.members.members)))
        self.hub.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": pairs}))

    def known(self) -> bool:
        """Whether all that live are counted, and of the others it is seen that they are silent."""
        path = INFERENCE_CLUSTER.path(HOME) + "?resourceVersion=0"
        found = {each["metadata"]["name"]: each for each in json.loads(self.hub.get(path))["items"]}
        return all(
            condition(found[each.name], "ControlPlaneHealthy")[0] in (("False", "Unknown") if each.dead else ("True",))
            and (each.dead or found[each.name]["status"].get("offers"))
            for each in self.members.members
        )


def condition(raw: Object, kind: str) -> tuple[str, str]:
    """Its status and since when it is so."""
    for each in (raw.get("status") or {}).get("conditions") or ():
        if each["type"] == kind:
            return each["status"], each["lastTransitionTime"]
    return "", ""


def is_ready(raw: Object) -> bool:
    return condition(raw, "Ready")[0] == "True"


def shares(raw: Object) -> dict[str, str]:
    """The state of each cluster that it is in."""
    record = (raw.get("status") or {}).get("placement") or {}
    return {each["cluster"]: each["state"] for each in record.get("clusters") or ()}


def place_all(bench: Bench, operator: OperatorProcess) -> None:
    """Create all services at once, until all are placed and ready."""
    before, began, started = bench.look(operator), time.time(), time.monotonic()
    members = len(bench.members.members)
    asyncio.run(create_all(bench.hub, (service(number, members) for number in range(bench.services))))
    figure("all services accepted after", f"{time.monotonic() - started:.1f} s")
    peak, found, best, since = 0, bench.all(), 0, started
    while not all(map(is_ready, found)) and time.monotonic() - started < LONGEST:
        time.sleep(3)
        peak, found = max(peak, operator.rss()), bench.all()
        if (number := sum(map(is_ready, found))) > best:
            best, since = number, time.monotonic()
            console.print(f"  … {since - started:.0f} s: {number} ready", style="dim")
        elif time.monotonic() - since > STUCK:
            break
    ready = [condition(each, "Ready")[1] for each in found if is_ready(each)]
    last = max(map(datetime.fromisoformat, ready)).timestamp() - began if ready else 0.0
    figure(f"Ready: {len(ready)} of {len(found)}, the last after", f"{last:.0f} s")
    figure("operator, resident memory at most", f"{peak / 2**20:.0f} MiB")
    tell(before, bench.look(operator))
    clusters = Counter(len(shares(each)) for each in found)
    figure("services by the clusters that they are in", str(dict(sorted(clusters.items()))))
    for each in [each for each in found if not is_ready(each)][:3]:
        console.print(f"    {each['metadata']['name']}: {(each.get('status') or {}).get('conditions')}", style="dim")


def settle(bench: Bench, operator: OperatorProcess, timeout: float = 300) -> None:
    """Until nothing is written for a while."""
    last, since = bench.look(operator), time.monotonic()

    def still() -> bool:
        nonlocal last
        now = bench.look(operator)
        same = now.written == last.written and _applied(now) == _applied(last)
        last = now
        return same

    try:
        wait_until("nothing is written", still, timeout, every=15)
    except TimeoutError as error:
        console.print(f"  {error}", style="red")
    figure("at rest after another", f"{time.monotonic() - since:.0f} s")


def _applied(at: Look) -> int:
    return at.members["apply inferenceservices"] + at.members["delete inferenceservices"]


def steady(bench: Bench, operator: OperatorProcess, seconds: float, what: str) -> None:
    """Nothing happens for a while."""
    console.print(f"[bold]{what}[/]")
    before = bench.look(operator)
    time.sleep(seconds)
    tell(before, bench.look(operator))


def edit_all(bench: Bench, operator: OperatorProcess, key: str, what: str) -> None:
    """Somebody edits each service, at a steady pace, by what moves nothing: a taint that none has is tolerated."""
    console.print(f"[bold]each service is edited once[/], {A_SECOND:.0f} a second{what}")
    before, started = bench.look(operator), time.monotonic()
    for number in range(bench.services):
        time.sleep(max(0.0, started + number / A_SECOND - time.monotonic()))
        name = f"model-{number:04}"
        bench.hub.apply(
            INFERENCE_SERVICE.path(NAMESPACE, name),
            {
                "apiVersion": INFERENCE_SERVICE.api_version,
                "kind": INFERENCE_SERVICE.kind,
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {"placement": {"tolerations": [{"key": key, "operator": "Exists"}]}},
            },
        )
    time.sleep(5)
    tell(before, bench.look(operator))


def edit_beside_a_black_hole(bench: Bench, operator: OperatorProcess) -> None:
    """The same while nobody hears from the member with most services, for less long than until it is lost."""
    [(name, number)] = Counter(name for each in bench.all() for name in shares(each)).most_common(1)
    silence(bench.members, name)
    try:
        edit_all(bench, operator, "bench-silent", f", while {name} with {number} of them is a black hole")
    finally:
        silence(bench.members, name, silent=False)


def lose_one(bench: Bench, operator: OperatorProcess) -> None:
    """The member with most services falls silent."""
    held = Counter(name for each in bench.all() for name in shares(each))
    [(name, number)] = held.most_common(1)
    console.print(f"[bold]{name}, which has {number} services, falls silent[/] (silences: {' '.join(SOON)})")
    mine = {each["metadata"]["uid"] for each in bench.all() if name in shares(each)}
    before, started = bench.look(operator), time.monotonic()
    silence(bench.members, name)
    bench.silent.add(name)
    lost: float | None = None
    left = mine
    while left and time.monotonic() - started < 600:
        time.sleep(1)
        found = [each for each in bench.all() if each["metadata"]["uid"] in mine]
        if lost is None and any(shares(each).get(name) == "Lost" for each in found):
            lost = time.monotonic() - started
        left = {
            each["metadata"]["uid"]
            for each in found
            if not (shares(each).get(name, "Lost") == "Lost" and is_ready(each))
        }
    figure("it counts as lost after", f"{lost or 0:.1f} s")
    figure("all its services are ready elsewhere after", f"{time.monotonic() - started:.1f} s")
    if left:
        figure("not placed elsewhere", str(len(left)))
    after = bench.look(operator)
    # What was asked of it before it fell silent was answered.
    tell(before, after)
    figure("requests that reached it", str(sum(asked(bench.members)[name].values())))


def measure(bench: Bench, seconds: float) -> None:
    number = len(bench.members.members)
    with OperatorProcess(bench.hub) as operator:
        wait_until("leading", operator.leads, 30)
        figure("operator, resident memory before", f"{operator.rss() / 2**20:.0f} MiB")
        console.print(f"[bold]{number} members are registered, {len(bench.dead)} of them dead[/]")
        before = bench.look(operator)
        bench.register()
        figure("all are known after", f"{wait_until('members', bench.known, 180, every=1):.1f} s")
        tell(before, bench.look(operator))
        console.print(f"[bold]{bench.services} services are applied at once[/]")
        place_all(bench, operator)
        settle(bench, operator)
        steady(bench, operator, seconds, f"at rest for {seconds:.0f} s")
        edit_all(bench, operator, "bench-first", "")
        edit_all(bench, operator, "bench-second", ", again")
        edit_beside_a_black_hole(bench, operator)
    with OperatorProcess(bench.hub, args=SOON) as operator:
        console.print(f"[bold]the operator is started anew[/] ({' '.join(SOON)})")
        figure("leading after", f"{wait_until('leading', operator.leads, 60):.1f} s")
        before = bench.look(operator)
        time.sleep(30)
        tell(before, bench.look(operator))
        settle(bench, operator)
        lose_one(bench, operator)


@contextmanager
def members_served(members: Fleet, folder: Path) -> Iterator[None]:
    """Their process, gone at the end."""
    members.write(folder / "fleet.json")
    log = folder / "members.log"
    command = [sys.executable, str(ROOT / "hack" / "bench_clusters_member.py"), str(folder / "fleet.json")]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environ())
    try:
        wait_until(f"members (see {log})", lambda: "serving" in log.read_text(errors="replace"), 30)
        yield
    finally:
        process.terminate()
        process.wait(30)
        lines = log.read_text(errors="replace").splitlines()
        if len(lines) > 1:
            console.print("\n".join(["the members' process said:", *lines[:20]]), style="red")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=50)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--dead", type=int, default=5, help="of the members, from the beginning on")
    parser.add_argument("--steady", type=float, default=60, help="seconds at rest")
    options = parser.parse_args()
    if not 0 <= options.dead < options.members <= 90 or not 0 < options.services < 10000:
        parser.error("--members: 1 to 90, more than --dead; --services: 1 to 9999")
    binaries = find_binaries()
    enter()
    with Cluster("bench", binaries=binaries) as hub:
        install(hub)
        hub.kubectl("create", "namespace", NAMESPACE)
        members = fleet(options.members, options.services, options.dead)
        with members_served(members, hub.workdir):
            measure(Bench(hub, members, options.services), options.steady)


if __name__ == "__main__":
    main()
