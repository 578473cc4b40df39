"""The next shares on the way from those on record to those planned: add before remove, few moves at once."""

from __future__ import annotations

from collections.abc import Mapping

from inferops.core.placement.terms import Share

SLACK = 1e-9


def next_shares(
    now: Mapping[str, Share],
    ready: Mapping[str, int],
    plan: Mapping[str, Share],
    work: Mapping[str, float],
    at_once: int,
) -> dict[str, Share]:
    """The shares to write next, given those on record, the replicas ready in each cluster, and the work of a replica.

    - Nothing has to be taken: the plan, at once.
    - What is not ready carries nothing: of a share that is to shrink it is taken at once, so a dead share wholly.
    - What is ready is taken only as far as the ready work of all stays at the lesser of what it is and what is
      planned. So a plain scale-down happens at once, and a move waits until the new replicas are ready.
    - Given at once is the work by which the plan exceeds what is on record (without what is not ready of shares
      that shrink: replacing what is dead is growth). Of what is given beyond that, to be taken elsewhere later, at
      most `at_once` replicas are not ready at a time; so what does not become ready stops the moves.
    - A share whose way is to change goes to zero first, one cluster at a time. Its own planned work does not count as
      planned until then, since it cannot become ready before.

    With everything on record ready, the repeated call reaches the plan.
    """
    aim = _aim(now, plan)
    if all(_replicas(aim, name) >= share.replicas for name, share in now.items()):
        return {name: aim[name] for name in sorted(aim)}
    taken = _taken(now, ready, aim, work)
    kept = {name: share.replicas - taken.get(name, 0) for name, share in now.items()}
    given = _given(now, ready, aim, work, at_once)
    after = {name: kept.get(name, 0) + given.get(name, 0) for name in sorted({*kept, *given})}
    return {
        name: Share(way=now[name].way if name in now else aim[name].way, replicas=replicas)
        for name, replicas in after.items()
        if replicas > 0
    }


def _aim(now: Mapping[str, Share], plan: Mapping[str, Share]) -> dict[str, Share]:
    """The plan without the ways that change: of these the first cluster is to become empty, the others stay."""
    changing = sorted(name for name, share in plan.items() if name in now and now[name].way != share.way)
    aim = dict(plan)
    for name in changing[:1]:
        del aim[name]
    for name in changing[1:]:
        aim[name] = now[name]
    return aim


def _taken(
    now: Mapping[str, Share], ready: Mapping[str, int], aim: Mapping[str, Share], work: Mapping[str, float]
) -> dict[str, int]:
    """Replicas to take from each, as far as the ready work stays at the lesser of what it is and what is aimed at."""
    serving = sum(_ready(now, ready, name) * work[name] for name in now)
    spare = serving - sum(share.replicas * work[name] for name, share in aim.items())
    taken = {}
    for name in sorted(now):
        surplus = now[name].replicas - _replicas(aim, name)
        if surplus <= 0:
            continue
        idle = now[name].replicas - _ready(now, ready, name)
        covered = int(spare / work[name] + SLACK) if spare > 0 else 0
        taken[name] = min(surplus, idle + covered)
        spare -= max(0, taken[name] - idle) * work[name]
    return taken


def _given(
    now: Mapping[str, Share],
    ready: Mapping[str, int],
    aim: Mapping[str, Share],
    work: Mapping[str, float],
    at_once: int,
) -> dict[str, int]:
    """Replicas to give to each: the growth of all together, and of moves so many that few are not ready."""
    counted = {
        name: max(_ready(now, ready, name), min(share.replicas, _replicas(aim, name))) for name, share in now.items()
    }
    growth = sum(share.replicas * work[name] for name, share in aim.items())
    growth -= sum(replicas * work[name] for name, replicas in counted.items())
    loading = sum(
        share.replicas - _ready(now, ready, name)
        for name, share in now.items()
        if share.replicas <= _replicas(aim, name)
    )
    moves = max(0, max(1, at_once) - loading)
    given: dict[str, int] = {}
    for name in sorted(aim):
        wanted = max(0, aim[name].replicas - _replicas(now, name))
        grown = min(wanted, max(0, int(growth / work[name] + SLACK)))
        moved = min(wanted - grown, moves)
        if grown + moved > 0:
            given[name] = grown + moved
        growth -= grown * work[name]
        moves -= moved
    return given


def _replicas(shares: Mapping[str, Share], name: str) -> int:
    return shares[name].replicas if name in shares else 0


def _ready(now: Mapping[str, Share], ready: Mapping[str, int], name: str) -> int:
    return min(ready.get(name, 0), _replicas(now, name))
