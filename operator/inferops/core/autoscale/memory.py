"""What a service's scaling has learned, as a text in its status, and back.

Written anew only once it has changed by much: a service whose load stays the same writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import isfinite
from typing import Any

from inferops.core.autoscale.capacity import HIGHEST, LOWEST, MOST_BINS, Capacity
from inferops.core.autoscale.forecast import BINS, FORECASTS, Outlook
from inferops.core.autoscale.history import LONGEST, STARTS, History

LONGEST_TEXT = 2048  # characters
MUCH = 0.1  # share
GROWN = 2.0  # times the requests that it was learned from
RATE = 1e9  # requests a second; nobody has more
UNKNOWN = "-"


def written(history: History, before: str = "") -> str:
    """What is worth keeping over a restart of the operator: at most 2048 characters; `before`, as long as nothing in it
    has changed much."""
    known, outlook = history.capacity, history.outlook
    if known.planned is None and not history.starts:
        return before
    found: dict[str, Any] = {
        "kind": history.kind,
        "starts": [round(each) for each in history.starts],
        "planned": _short(known.planned),
        "carries": _short(known.carries),
        "knee": _short(known.knee),
        "told": int(known.told),
        "misses": _flat(known.misses.items()),
        "loads": [each for at, weight in sorted(known.loads.items()) for each in (at, round(weight))],
        "errors": [_short(error, 2) for error in outlook.errors],
        "believed": outlook.believed,
        "usual": _short(history.usual_tokens),
        "day": _day(outlook.day),
    }
    if not _news(found, before):
        return before
    text = _dumps(found)
    while len(text) > LONGEST_TEXT and (found["misses"] or found["day"]):  # the day is learned anew in a day
        found["day"], found["misses"] = "", found["misses"] if found["day"] else found["misses"][3:]
        text = _dumps(found)
    return text if len(text) <= LONGEST_TEXT else before


def read(text: str) -> History:
    """The history that a new operator begins with. A text that is none of ours counts as empty."""
    try:
        found = json.loads(text)
        errors = tuple(_number(each, 100.0) for each in found["errors"])
        day = _days(found["day"])
        outlook = Outlook(errors=errors, believed=int(found["believed"]), day=day)
        if len(errors) != FORECASTS or not 0 <= outlook.believed < FORECASTS:
            return History()
        return History(
            outlook=outlook,
            capacity=_capacity(found),
            kind=str(found["kind"])[:64],
            starts=tuple(_number(each, LONGEST) for each in found["starts"][-STARTS:]),
            usual_tokens=_optional(found["usual"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return History()


def _capacity(found: dict[str, Any]) -> Capacity:
    """Raises ValueError, TypeError and KeyError."""
    flat, loads = found["misses"], found["loads"]
    if len(flat) % 3 or len(loads) % 2 or len(flat) > 3 * MOST_BINS or len(loads) > 2 * (HIGHEST - LOWEST + 1):
        raise ValueError("bins that are none of ours")
    misses = {int(at): (_number(n), _number(bad)) for at, n, bad in zip(*[iter(flat)] * 3, strict=True)}
    if any(abs(at) > 512 or bad > n for at, (n, bad) in misses.items()):
        raise ValueError("bins that cannot be")
    planned, knee = _optional(found["planned"]), _optional(found["knee"])
    if planned is not None and knee is None:
        raise ValueError("a plan for nothing known")
    return Capacity(
        knee=knee,
        told=bool(found["told"]),
        planned=planned,
        carries=_optional(found["carries"]),
        misses=misses,
        loads={min(max(int(at), LOWEST), HIGHEST): _number(n) for at, n in zip(*[iter(loads)] * 2, strict=True)},
    )


def _news(found: dict[str, Any], before: str) -> bool:
    """Whether it is much different from what is written."""
    try:
        known = json.loads(before)
        for name in ("planned", "carries", "usual"):
            if _far(known[name], found[name]):
                return True
        if known["kind"] != found["kind"] or _far(_mean(known["starts"]), _mean(found["starts"])):
            return True
        if len(found["day"].replace(UNKNOWN, "")) >= len(known["day"].replace(UNKNOWN, "")) + 12:
            return True
        return bool(sum(found["loads"][1::2]) > GROWN * sum(known["loads"][1::2]) + 100)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return True


def _far(known: float | None, found: float | None) -> bool:
    if known is None or found is None:
        return known is not found
    return abs(found - known) > MUCH * max(abs(known), 1e-9)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _flat(items: Iterable[tuple[int, tuple[float, float]]]) -> list[float]:
    """Place, judged and missed of each bin that holds any, the fullest last."""
    kept = sorted((item for item in items if item[1][0] >= 1), key=lambda item: item[1][0])
    return [each for at, (n, bad) in kept for each in (at, round(n), min(round(bad, 1), round(n)))]


def _short(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else float(f"{value:.{digits}g}")


_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _day(day: tuple[float, ...]) -> str:
    """The highest rate, and each bin's share of it as a letter."""
    highest = max(day)
    if highest <= 0:
        return ""
    last = len(_LETTERS) - 1
    letters = "".join(UNKNOWN if rate < 0 else _LETTERS[round(last * rate / highest)] for rate in day)
    return f"{highest:.4g} {letters}"


def _days(text: str) -> tuple[float, ...]:
    """Raises ValueError and TypeError."""
    if not text:
        return (-1.0,) * BINS
    highest, _, letters = text.partition(" ")
    if len(letters) != BINS:
        raise ValueError("a day of another length")
    scale = _number(float(highest)) / (len(_LETTERS) - 1)
    return tuple(-1.0 if letter == UNKNOWN else scale * _LETTERS.index(letter) for letter in letters)


def _optional(value: object) -> float | None:
    if value is None:
        return None
    found = _number(value)
    if not found:
        raise ValueError("a rate of nothing")
    return found


def _number(value: object, most: float = RATE) -> float:
    """Raises ValueError on what is no number, negative or beyond all measure."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value) or not 0 <= value <= most:
        raise ValueError(f"{value!r} is no such number")
    return float(value)


def _dumps(found: dict[str, Any]) -> str:
    return json.dumps(found, separators=(",", ":"))
