"""What a service's scaling has learned, as a text in its status, and back.

Written anew only once it has changed by much: a service whose load stays the same writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import isfinite, log2
from typing import Any

from inferops.core.autoscale.candidates import CANDIDATES, Candidate, Candidates, of_bins, together
from inferops.core.autoscale.capacity import Capacity
from inferops.core.autoscale.forecast import BINS, Outlook
from inferops.core.autoscale.history import LONGEST, STARTS, History
from inferops.core.autoscale.misses import MOST_BINS
from inferops.core.autoscale.staffing import CLASSES, HIGHEST, LOWEST, Loads

LONGEST_TEXT = 4096  # characters
MUCH = 0.1  # share
GROWN = 2.0  # times the requests that it was learned from
RATE = 1e9  # requests a second; nobody has more
MOST_REQUESTS = 1e15
NOISIEST = 10.0  # mean square of logarithms
UNKNOWN = "-"
SHARES = 4.0  # letters by which the logarithm of a bin's share falls with each octave


def written(history: History, before: str = "") -> str:
    """What is worth keeping over a restart of the operator: at most 4096 characters; `before`, as long as nothing in it
    has changed much."""
    known, outlook = history.capacity, history.outlook
    if not known.plans and not history.starts:
        return before
    found: dict[str, Any] = {
        "kind": history.kind,
        "starts": [round(each) for each in history.starts],
        "plans": [_short(plan) for plan in known.plans],
        "carries": _short(known.carries),
        "knee": _short(known.knee),
        "told": int(known.told),
        "misses": _flat(known.misses.items()),
        "loads": {str(kind): _shape(bins) for kind, bins in sorted(known.loads.items())},
        "followed": known.candidates.at,
        "noise": _short(outlook.noise, 2),
        "usual": _short(history.usual_tokens),
        "day": _day(outlook.day),
    }
    if not _news(found, before):
        return before
    found["candidates"] = _weighed(known.candidates)
    text = _dumps(found)
    while len(text) > LONGEST_TEXT and (found["misses"] or found["day"]):  # the day is learned anew in a day
        found["day"], found["misses"] = "", found["misses"] if found["day"] else found["misses"][3:]
        text = _dumps(found)
    return text if len(text) <= LONGEST_TEXT else before


def read(text: str) -> History:
    """The history that a new operator begins with. A text that is none of ours counts as empty."""
    try:
        found = json.loads(text)
        outlook = Outlook(day=_days(found["day"]), noise=min(_number(found["noise"]), NOISIEST))
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
    flat, plans = found["misses"], tuple(_rate(each) for each in found["plans"])
    if len(flat) % 3 or len(flat) > 3 * MOST_BINS or len(plans) not in (0, CLASSES):
        raise ValueError("bins that are none of ours")
    misses = {int(at): (_number(n), _number(bad)) for at, n, bad in zip(*[iter(flat)] * 3, strict=True)}
    if any(abs(at) > 512 or bad > n for at, (n, bad) in misses.items()):
        raise ValueError("bins that cannot be")
    knee = _optional(found["knee"])
    if plans and knee is None:
        raise ValueError("a plan for nothing known")
    return Capacity(
        knee=knee,
        told=bool(found["told"]),
        plans=plans,
        carries=_optional(found["carries"]),
        misses=misses,
        loads=_loads(found["loads"]),
        candidates=_candidates(found),
    )


def _weighed(known: Candidates) -> list[Any]:
    """What was counted of all, then of each."""
    whole = [_short(each) for each in (known.seconds, known.asked, known.missed, known.expected)]
    each = [
        [
            _short(one.paid),
            _short(one.shocked),
            _short(one.hardest),
            _shape(together(one)) if one.loads else "",
        ]
        for one in known.each
    ]
    return [whole, *each] if known.seconds else []


def _candidates(found: dict[str, Any]) -> Candidates:
    """Raises ValueError, TypeError and KeyError."""
    at, told = found["followed"], found["candidates"]
    if at is not None and (not isinstance(at, int) or not 0 <= at < len(CANDIDATES)):
        raise ValueError("a candidate that is none of ours")
    if not told:
        return Candidates(at=at)
    (seconds, *counts), *each = told
    asked, missed, expected = (_number(count, MOST_REQUESTS) for count in counts)
    if len(each) != len(CANDIDATES):
        raise ValueError("candidates that are none of ours")
    made = tuple(
        Candidate(
            paid=_number(paid, MOST_REQUESTS),
            shocked=_number(shocked, MOST_REQUESTS),
            hardest=_number(hardest, MOST_REQUESTS),
            loads=of_bins(_bins(loads), CLASSES // 2) if loads else {},
        )
        for paid, shocked, hardest, loads in each
    )
    return Candidates(each=made, at=at, seconds=_number(seconds), asked=asked, missed=missed, expected=expected)


def _loads(found: dict[str, Any]) -> Loads:
    """Raises ValueError, TypeError and AttributeError."""
    loads = {int(kind): _bins(shape) for kind, shape in found.items()}
    if any(not 0 <= kind < CLASSES for kind in loads):
        raise ValueError("classes that are none of ours")
    return {kind: bins for kind, bins in loads.items() if bins}


def _news(found: dict[str, Any], before: str) -> bool:
    """Whether it is much different from what is written."""
    try:
        known = json.loads(before)
        for name in ("carries", "usual"):
            if _far(known[name], found[name]):
                return True
        if any(_far(*plans) for plans in zip(known["plans"], found["plans"], strict=True)):
            return True
        if (
            known["followed"] != found["followed"]
            or known["kind"] != found["kind"]
            or _far(_mean(known["starts"]), _mean(found["starts"]))
        ):
            return True
        if len(found["day"].replace(UNKNOWN, "")) >= len(known["day"].replace(UNKNOWN, "")) + 12:
            return True
        return _requests(found["loads"]) > GROWN * _requests(known["loads"]) + 100
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


def _shape(bins: Mapping[int, float]) -> str:
    """How many requests there are, and each bin's share of the fullest as a letter, by its logarithm."""
    fullest, last = max(bins.values()), len(_LETTERS) - 1
    letters = (
        _LETTERS[max(0, last + round(SHARES * log2(bins[at] / fullest)))] if bins.get(at) else UNKNOWN
        for at in range(LOWEST, HIGHEST + 1)
    )
    return f"{sum(bins.values()):.4g} {''.join(letters)}"


def _bins(text: str) -> dict[int, float]:
    """Raises ValueError and AttributeError."""
    _, _, letters = text.partition(" ")
    if len(letters) != HIGHEST + 1 - LOWEST:
        raise ValueError("a shape of another length")
    last = len(_LETTERS) - 1
    shares = {
        at: 2 ** ((_LETTERS.index(letter) - last) / SHARES)
        for at, letter in enumerate(letters, LOWEST)
        if letter != UNKNOWN
    }
    whole = sum(shares.values())
    return {at: _count(text) * share / whole for at, share in shares.items()}


def _count(text: str) -> float:
    """Raises ValueError."""
    return _number(float(text.partition(" ")[0]), MOST_REQUESTS)


def _requests(loads: dict[str, str]) -> float:
    return sum(_count(text) for text in loads.values())


def _optional(value: object) -> float | None:
    return None if value is None else _rate(value)


def _rate(value: object) -> float:
    """Raises ValueError."""
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
