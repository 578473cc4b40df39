"""What a cluster tells of its capacity as one value: a hub that cannot ask its API server gets no more than that.

JSON with a version, so that hubs and members of different versions never misread each other. What comes from a member
is untrusted: whatever is not as it should be reads as nothing told.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inferops.core.offers import MOST, Free
from inferops.core.quotas import Quota

VERSION = 1
LIMIT = 65_536  # characters
NODES = 10_000  # of an accelerator; those beyond are not told of
LARGEST = 1024  # accelerators on a node
REPLICAS = 100_000
WAITING = 32  # replicas of a service of which it is told since when they wait
NUMBER = 10**12

Service = tuple[str, str]  # namespace and name


class Unreadable(Exception):
    """It is not such a summary."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a cluster has, counted at one time."""

    free: tuple[Free, ...]
    nodes: tuple[int, int] = (0, 0)  # how many there are, and how many of these are ready
    scheduled: Counter[Service] = field(default_factory=Counter)  # replicas that have their nodes
    waiting: Mapping[Service, tuple[float, ...]] = field(default_factory=dict)  # those that have none: since when
    quotas: Mapping[str, tuple[Quota, ...]] = field(default_factory=dict)  # by namespace


def summarize(counted: Summary) -> str:
    """At most LIMIT characters: what does not fit is left out, services first, accelerators last."""
    rows: dict[str, list[list[Any]]] = {
        "services": _services(counted),
        "quotas": [[space, *each] for space, quotas in sorted(counted.quotas.items()) for each in quotas],
        "offers": [_row(each) for each in counted.free[:MOST]],
    }
    while len(text := _written({"v": VERSION, "nodes": counted.nodes, **rows})) > LIMIT:
        longest = next(each for each in rows.values() if each)
        del longest[len(longest) // 2 :]
    return text


def read(text: str) -> Summary:
    """What `summarize` wrote. Raises Unreadable."""
    try:
        told = json.loads(text)
        if told["v"] != VERSION:
            raise Unreadable(f"it is of version {told['v']!r:.20}, and this operator reads version {VERSION}")
        total, ready = (_number(each, NUMBER) for each in told["nodes"])
        free = tuple(_free(*each) for each in told["offers"][:MOST])
        services = [_service(*each) for each in told["services"]]
        quotas: dict[str, tuple[Quota, ...]] = {}
        for space, *row in told["quotas"]:
            quotas[_text(space)] = (*quotas.get(space, ()), _quota(*row))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}"[:200]) from None
    scheduled = Counter({service: number for service, number, _ in services if number})
    return Summary(free, (total, ready), scheduled, {service: since for service, _, since in services if since}, quotas)


def _written(told: object) -> str:
    return json.dumps(told, separators=(",", ":"))


def _services(counted: Summary) -> list[list[Any]]:
    names = sorted({*counted.scheduled, *counted.waiting})
    waits = {name: [int(since) for since in counted.waiting.get(name, ())[:WAITING]] for name in names}
    return [[*name, counted.scheduled[name], waits[name]] for name in names]


def _row(one: Free) -> list[Any]:
    packed = sorted(Counter(one.free[:NODES]).items(), reverse=True)  # free ones of a node, and nodes with so many
    return [one.accelerator, one.spot, one.nodes, one.total, one.largest, one.present, one.counted_as, packed]


def _free(
    accelerator: Any, spot: Any, nodes: Any, total: Any, largest: Any, present: Any, counted_as: Any, packed: Any
) -> Free:
    if not isinstance(spot, bool):
        raise ValueError("an offer is of spot nodes or of others")
    free: list[int] = []
    for each, count in packed:
        free += [_number(each, LARGEST)] * _number(count, NODES - len(free))
    return Free(
        _text(accelerator),
        spot,
        _number(nodes, NUMBER),
        _number(total, NUMBER),
        tuple(sorted(free, reverse=True)),
        _number(largest, LARGEST),
        _number(present, NUMBER),
        _text(counted_as),
    )


def _service(namespace: Any, name: Any, scheduled: Any, since: Any) -> tuple[Service, int, tuple[float, ...]]:
    waits = tuple(float(_number(int(each), NUMBER)) for each in since[:WAITING])
    return (_text(namespace), _text(name)), _number(scheduled, REPLICAS), waits


def _quota(name: Any, resource: Any, hard: Any, used: Any) -> Quota:
    return Quota(_text(name), _text(resource), _number(hard, NUMBER), _number(used, NUMBER))


def _number(value: Any, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"a number from 0 to {most} is expected")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 512:
        raise ValueError("a short text is expected")
    return value
