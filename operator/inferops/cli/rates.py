"""Two snapshots of counters -> what happened between them, by service: rates, quantiles, what is there now. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf

from inferops.cli.scrape import Counted, Of, Snapshot


@dataclass(frozen=True, slots=True)
class Rates:
    """Of one service. None: nobody told, or nothing happened that could say so."""

    source: str = ""  # gateway or engines; empty: nobody told
    requests: float | None = None  # a second
    errors: float | None = None  # share of those that ended
    tokens_in: float | None = None  # a second
    tokens_out: float | None = None
    waiting: float | None = None
    running: float | None = None
    ttft: tuple[float | None, float | None] = (None, None)  # seconds: half of them, and 95 of 100, are within
    tpot: float | None = None  # seconds: half of the gaps are within
    kv: float | None = None


def rates(before: Snapshot, after: Snapshot, of: Of) -> Rates:
    """By the gateways' word where they know of it, else by the engines'."""
    seconds = max(after.at - before.at, 1e-9)
    gateways, engines = _told(after.gateways, of), _told(after.engines, of)
    cache = [each.kv for each in engines.values() if each.kv is not None]
    kv = sum(cache) / len(cache) if cache else None
    known = gateways if any(each.came for each in gateways.values()) or not engines else engines
    if not known:
        return Rates(kv=kv)
    source = "gateway" if known is gateways else "engines"
    earlier = _told(before.gateways if known is gateways else before.engines, of)
    gained = [_gained(earlier.get(name), now) for name, now in known.items()]
    ended = sum(each.ended for each in gained)
    ttft, tpot = _sum(each.ttft for each in gained), _sum(each.tpot for each in gained)
    in_engines = sum(each.running for each in (engines or known).values())
    waits = sum(each.waiting for each in known.values())
    return Rates(
        source,
        sum(each.came for each in gained) / seconds,
        sum(each.bad for each in gained) / ended if ended else None,
        sum(each.tokens_in for each in gained) / seconds,
        sum(each.tokens_out for each in gained) / seconds,
        waits,
        in_engines if engines else max(in_engines - waits, 0),
        (quantile(ttft, 0.5), quantile(ttft, 0.95)),
        quantile(tpot, 0.5),
        kv,
    )


def _told(by_source: Mapping[str, Mapping[Of, Counted]], of: Of) -> dict[str, Counted]:
    return {name: told[of] for name, told in by_source.items() if of in told}


def _gained(before: Counted | None, now: Counted) -> Counted:
    """What was counted between. Of one that began anew all counts, of one that was not asked before nothing does."""
    if before is None:
        return Counted()
    anew = now.came < before.came
    base = Counted() if anew else before
    return Counted(
        came=max(now.came - base.came, 0),
        ended=max(now.ended - base.ended, 0),
        bad=max(now.bad - base.bad, 0),
        tokens_in=max(now.tokens_in - base.tokens_in, 0),
        tokens_out=max(now.tokens_out - base.tokens_out, 0),
        ttft=_less(now.ttft, base.ttft),
        tpot=_less(now.tpot, base.tpot),
    )


def _less(now: Counter[float], before: Counter[float]) -> Counter[float]:
    return Counter({bound: max(number - before[bound], 0) for bound, number in now.items()})


def _sum(histograms: Iterable[Counter[float]]) -> Counter[float]:
    found: Counter[float] = Counter()
    for each in histograms:
        found.update(each)
    return found


def quantile(buckets: Mapping[float, int], share: float) -> float | None:
    """The value within which `share` of what was counted is, by cumulative buckets, evenly spread within each; None
    where nothing was. Beyond the last bound it is that bound. As histogram_quantile of Prometheus."""
    total = buckets.get(inf, 0)
    if not total:
        return None
    low, below = 0.0, 0
    for bound in sorted(buckets):
        number = buckets[bound]
        if number >= share * total:
            if bound == inf:
                return low
            return low + (bound - low) * (share * total - below) / max(number - below, 1e-9)
        low, below = bound, number
    return low
