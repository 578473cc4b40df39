"""The chain: every policy in its turn. What is wrong comes first, in the order of what hides what."""

from __future__ import annotations

from inferops.cli import rolloutstate
from inferops.cli.why import around, asked, replicas, rolling
from inferops.cli.why.seen import Explanation, Policy, Seen, stated

POLICIES: tuple[Policy, ...] = (
    around.asked_cluster,
    asked.going,
    asked.unjudged,
    asked.invalid,
    around.placed,
    replicas.refused,
    replicas.broken,
    replicas.pending,
    rolling.paused,
    rolling.rolled_back,
    replicas.starting,
    around.unrouted,
    around.at_zero,
    rolling.under_way,
    around.scaled,
)


def explain(seen: Seen) -> list[Explanation]:
    """The answer, and what else there is to say, what is wrong first. At least one."""
    found = [told for policy in POLICIES if (told := policy(seen)) is not None]
    if seen.cluster:
        return found[:1]
    wrong = [each for each in found if each.wrong]
    if wrong:
        return [*wrong, *(each for each in found if not each.wrong)]
    ready = seen.condition("Ready")
    if (ready is None or ready.status != "True") and any(each.enough for each in found):
        return sorted(found, key=lambda each: not each.enough)
    return [_fine(seen), *found]


def _fine(seen: Seen) -> Explanation:
    """Nothing is wrong, or nothing that anybody here knows of."""
    status, ready = seen.service.status, seen.condition("Ready")
    if ready is None or ready.status != "True":
        told = f"{ready.reason}: {ready.message}" if ready is not None else "it has no condition Ready"
        return Explanation(
            f"it is not Ready: {told}", stated(*_conditions(seen)), (f"see all of it: {seen.run('status')}",)
        )
    if status.placement.clusters:
        number = sum(each.ready_replicas for each in status.placement.clusters)
        places = ", ".join(each.cluster for each in status.placement.clusters)
        return Explanation(f"nothing is wrong: {number} replicas serve in {places}", wrong=False)
    serving = rolloutstate.revision(seen.service, status.stable_revision)
    number = serving.ready_replicas if serving is not None else status.ready_replicas
    return Explanation(
        f"nothing is wrong: {number} of {status.desired_replicas or 0} replicas of revision {status.stable_revision} "
        "serve",
        stated(f"at {status.url}" if status.url else "", *(each.message for each in status.not_acted_on)),
        wrong=False,
    )


def _conditions(seen: Seen) -> list[str]:
    return [
        f"{each.type}={each.status}, {each.reason}: {each.message}"
        for each in seen.service.status.conditions
        if each.type not in ("Ready", "Reconciling", "Stalled") and each.status != "True"
    ]
