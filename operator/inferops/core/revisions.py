"""What the status tells of each revision that exists: its part in a rollout, its replicas, its share of requests."""

from __future__ import annotations

from inferops.api.inferenceservicestatus import RevisionStatus, Role
from inferops.api.rolloutstatus import AT_REST
from inferops.core import routing, status
from inferops.core import told as words
from inferops.core.observation import Observation, RevisionView
from inferops.core.revision import revision_name
from inferops.core.rollout import Outcome

HELD = "kept until the Gateway has taken in the HTTPRoute that no longer names it, since requests may still come"


def told(seen: Observation, outcome: Outcome) -> list[RevisionStatus]:
    """The revisions that exist and stay for now, the stable one first."""
    there = {revision.hash: revision for revision in seen.revisions}
    order = sorted(outcome.replicas, key=lambda hash_: hash_ != outcome.route)
    return [_told(seen, outcome, there[hash_]) for hash_ in order if hash_ in there]


def _told(seen: Observation, outcome: Outcome, revision: RevisionView) -> RevisionStatus:
    hash_, state = revision.hash, outcome.state
    role = _role(outcome, hash_)
    stuck = status.broken(revision)
    held = HELD if role in ("Retiring", "Previous") and hash_ in routing.carried(seen) else ""
    return RevisionStatus(
        name=revision_name(seen.service.metadata.name, hash_),
        hash=hash_,
        role=role,
        accelerator=words.describe(revision.spec.accelerator) if revision.spec is not None else "",
        image=revision.image,
        replicas=outcome.replicas[hash_],
        ready_replicas=revision.ready,
        weight=outcome.weights.get(hash_, 0),
        desired_weight=state.weight if role == "Canary" else 100 - _away(outcome) if role == "Stable" else 0,
        observed_weight=_observed(seen, outcome, hash_),
        usd_per_hour=_cost(seen, revision),
        message=stuck.message[: status.MESSAGE_LIMIT] if stuck is not None else held,
    )


def _role(outcome: Outcome, hash_: str) -> Role:
    state = outcome.state
    if hash_ == outcome.route:
        return "Stable"
    if hash_ in outcome.retiring:
        return "Retiring"
    if hash_ == state.canary and state.phase not in AT_REST:
        return "Canary"
    return "Previous" if hash_ == state.previous else "Retiring"


def _away(outcome: Outcome) -> int:
    """Percentage that stable is to give to the canary."""
    return outcome.state.weight if outcome.state.phase not in AT_REST else 0


def _observed(seen: Observation, outcome: Outcome, hash_: str) -> int | None:
    """The percentage of the requests counted last. It changes with a look at the analysis, not with each window."""
    before = next((each for each in seen.service.status.revisions if each.hash == hash_), None)
    looked = outcome.state.analysis.until != seen.service.status.rollout.analysis.until
    if seen.window is None or not looked:
        return before.observed_weight if before is not None and outcome.state.phase not in AT_REST else None
    requests = {hash_: 0} | {each.revision: 0 for each in seen.window.replicas}
    for each in seen.window.replicas:
        requests[each.revision] += each.requests
    total = sum(requests.values())
    return round(100 * requests[hash_] / total) if total else None


def _cost(seen: Observation, revision: RevisionView) -> str:
    choice = revision.spec.accelerator if revision.spec is not None else None
    accelerator = seen.accelerators.get(choice.type) if choice is not None else None
    return words.cost(choice, accelerator.price) if choice is not None and accelerator is not None else ""
