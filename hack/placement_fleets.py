"""Fleets drawn by a seeded generator: GPUs, prices and room as one finds them, on-premises and in clouds."""

from __future__ import annotations

import random
from dataclasses import replace

from inferops.core.placement.terms import Ask, Site, Way

# name, work of a replica (requests a second at the SLO, of a mid-sized model), price of it for an hour in a cloud
KINDS = (
    ("1x nvidia-l4", 1.0, 0.8),
    ("2x nvidia-l4", 1.9, 1.6),
    ("1x nvidia-a100-40gb", 4.0, 3.4),
    ("1x nvidia-a100-80gb", 4.5, 4.1),
    ("1x nvidia-h100-80gb", 10.0, 7.0),
    ("2x nvidia-h100-80gb", 21.0, 14.0),
    ("1x nvidia-h200", 14.0, 9.5),
    ("8x nvidia-h100-80gb", 80.0, 56.0),
)
SPOT = 0.4  # of the price
OWN = 0.02  # of the price: power


FAR = (1.0, 1.0, 0.99, 0.97, 0.93, 0.82, 0.66, 0.3)  # of what a replica carries, by how far its clients are


def fleet(seed: int, *, far: bool = False) -> tuple[Ask, list[Site]]:
    """An ask and the clusters for it; not always can all of it be had. `far`: replicas carry less in clusters that are
    farther from their clients."""
    ask, sites = _fleet(seed)
    draw = random.Random(f"far {seed}")
    return ask, [_away(site, draw.choice(FAR)) for site in sites] if far else sites


def _away(site: Site, share: float) -> Site:
    return replace(site, ways=tuple(replace(way, work=way.work * share) for way in site.ways))


def _fleet(seed: int) -> tuple[Ask, list[Site]]:
    draw = random.Random(seed)
    wanted = draw.sample(KINDS, draw.randint(1, 3))
    sites = [_site(draw, number, wanted) for number in range(draw.choice((2, 3, 3, 4, 5, 6, 8, 12, 20, 30, 50)))]
    most = sum(max((way.room * way.work for way in site.ways), default=0.0) for site in sites)
    unit = draw.choice(wanted)[1]
    work = min(draw.choice((0.5, 1.0, 2.2, 3.7, 6.0, 12.5, 40.0)) * unit, draw.uniform(0.2, 0.9) * max(most, 0.5))
    ask = Ask(
        work=round(work, 2),
        clusters=draw.choice((1, 1, 1, 2, 3)),
        survives=draw.random() < 0.35,
        least=draw.choice((1, 1, 1, 2)),
        most=draw.choice((None, None, None, 4, 10)),
        limit=draw.choice((None, None, 20, 60)),
    )
    return ask, sites


def _site(draw: random.Random, number: int, wanted: list[tuple[str, float, float]]) -> Site:
    where = draw.choice(("own", "cloud", "cloud", "cloud"))
    region = draw.choice((0.93, 1.0, 1.0, 1.08, 1.25)) * draw.uniform(0.98, 1.03)
    small = draw.random() < 0.6
    ways = []
    for name, work, price in wanted:
        if draw.random() < 0.35:
            continue
        spot = where == "cloud" and draw.random() < 0.3
        factor = OWN if where == "own" else region * (SPOT * draw.uniform(0.8, 1.3) if spot else 1.0)
        room = draw.choice((0, 1, 2, 3, 5, 8) if small else (8, 12, 20, 40, 100))
        ways.append(Way(name + (" spot" if spot else ""), work, round(price * factor, 4), room))
    return Site(f"c{number:02}", tuple(ways), rank=draw.choice((0, 0, 1, 2)))
