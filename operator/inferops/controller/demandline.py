"""A line of a gateway's stream -> what it tells. Its words are untrusted: what is broken reads as not told."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from inferops.signals.cumulative import Tally
from inferops.signals.totals import FIELDS, Totals

HIGHEST = 10**9  # requests at once, or seconds; more is none of either
COUNTED = 2**53  # requests ever: beyond that JSON's numbers are not exact
NAME = 320  # characters: namespace and name
REVISIONS = 16  # of one service
REPLICAS = 1000  # of one service, of all its revisions
ID = re.compile(r"[0-9a-zA-Z-]{1,64}")
WHOLE = itemgetter(*(place for place, zero in enumerate(Totals()) if type(zero) is int))  # counts, not times
HASH = re.compile(r"[0-9a-z]{1,16}")
POD = re.compile(r"[0-9a-z]([-.0-9a-z]{0,251}[0-9a-z])?")

Name = tuple[str, str]  # namespace and name of a service


class Line(NamedTuple):
    """A line, whose services are not looked at yet."""

    boot: str  # another one each time that the gateway starts; empty: it does not say
    services: Mapping[str, Any]
    up: float | None = None  # seconds since it began to count


@dataclass(frozen=True, slots=True)
class Counted:
    """What a gateway has counted of a service's replicas since it began, each by pod."""

    revisions: Mapping[str, str]  # hashes
    tallies: Mapping[str, Tally]
    in_flight: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Asked:
    """What one gateway told of one service."""

    waiting: int
    in_flight: int
    idle: float  # seconds, at that moment
    at: float
    counted: Counted | None = None  # while it has replicas of two revisions
    load: Totals | None = None  # since it began; None: it does not tell


def line_of(line: bytes) -> Line | None:
    """The parts of a line; None where it is none."""
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError):
        return None
    services = parsed.get("services") if isinstance(parsed, dict) else None
    if not isinstance(services, dict):
        return None
    boot = parsed.get("boot")
    return Line(boot if isinstance(boot, str) and ID.fullmatch(boot) else "", services, _number(parsed.get("up")))


def name_of(text: str) -> Name | None:
    """Namespace and name, of `NAMESPACE/NAME`."""
    namespace, slash, name = text.partition("/")
    return (namespace, name) if namespace and slash and name and "/" not in name and len(text) <= NAME else None


def asked_of(told: Any, at: float, counts: bool = True) -> Asked | None:
    """What was told of a service, but for its replicas; None where that is not what a gateway tells. `counts`: whether
    it is known since when it counts; else, and where that is broken, there is no load."""
    if not isinstance(told, dict):
        return None
    waiting, in_flight, idle = (_number(told.get(name)) for name in ("waiting", "inFlight", "idle"))
    if waiting is None or in_flight is None or idle is None or waiting % 1 or in_flight % 1:
        return None
    return Asked(int(waiting), int(in_flight), idle, at, None, load_of(told.get("load")) if counts else None)


def load_of(numbers: Any) -> Totals | None:
    """What was told to be asked of a service; None where that is broken."""
    if type(numbers) is not list or len(numbers) != FIELDS:
        return None
    if not {*map(type, numbers)} <= {int, float} or {*map(type, WHOLE(numbers))} != {int}:
        return None
    totals = Totals._make(numbers)
    if min(numbers) < 0 or max(numbers) > COUNTED or not sum(numbers) >= 0 or totals.missed > totals.judged:
        return None  # a sum with what is not a number is none either
    return totals


def counted_of(replicas: Any) -> tuple[Counted | None, int]:
    """What was told of a service's replicas, and how many of them were dropped because that is broken; a pod under two
    hashes counts with the first. None where it is broken as a whole."""
    if not isinstance(replicas, dict) or len(replicas) > REVISIONS:
        return None, 1
    whole = [each for each in replicas.values() if isinstance(each, dict)]
    if len(whole) < len(replicas) or sum(map(len, whole)) > REPLICAS:
        return None, 1
    revisions: dict[str, str] = {}
    tallies: dict[str, Tally] = {}
    in_flight: dict[str, int] = {}
    dropped = 0
    for hashed, pods in replicas.items():
        for pod, numbers in pods.items():
            tally = _tally(numbers)
            if tally is None or pod in tallies or not HASH.fullmatch(hashed) or not POD.fullmatch(pod):
                dropped += 1
            else:
                revisions[pod], tallies[pod], in_flight[pod] = hashed, tally, numbers[-1]
    return Counted(revisions, tallies, in_flight), dropped


def _tally(numbers: Any) -> Tally | None:
    """What a replica has counted, of judged and bad ones of each metric, requests, and requests there now."""
    if not isinstance(numbers, list) or len(numbers) != 8:
        return None
    if any(type(each) is not int or not 0 <= each <= COUNTED for each in numbers):
        return None
    judged, bad, requests, now = numbers[0:6:2], numbers[1:6:2], numbers[6], numbers[7]
    if any(fewer > more for more, fewer in zip(judged, bad, strict=True)) or now > min(requests, HIGHEST):
        return None
    a, b, c = (more - fewer for more, fewer in zip(judged, bad, strict=True))
    return Tally((a, b, c), (bad[0], bad[1], bad[2]), requests)


def _number(value: Any) -> float | None:
    """A number that is neither negative nor beyond all measure."""
    return float(value) if type(value) in (int, float) and 0 <= value <= HIGHEST else None
