"""Figures as people read them."""

from __future__ import annotations

from math import floor, isfinite

from inferops.simulate.scaling.scenario import Result

NONE = "-"


def clean(text: str) -> str:
    """Somebody else's text without control sequences, in one line."""
    return "".join(each if each.isprintable() else " " for each in text).strip()


def share(value: float) -> str:
    """A share as a percentage, with more digits the nearer it is to all. It is never rounded up to 100."""
    percent = 100 * value
    if percent >= 100:
        return "100 %"
    digits = 3 if percent > 99.9 else 2 if percent > 99 else 1
    return f"{floor(percent * 10**digits) / 10**digits:.{digits}f} %"


def goal(value: float) -> str:
    """A share that somebody set, as it was set."""
    return f"{100 * value:.6g} %"


def span(seconds: float | None) -> str:
    """A latency."""
    if seconds is None or not isfinite(seconds):
        return NONE
    if seconds < 0.0995:
        return f"{1000 * seconds:.3g} ms"
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.2f} s" if seconds < 100 else f"{seconds:.0f} s"


def spans(found: dict[str, float]) -> str:
    """Its quantiles, for example `120 / 340 / 610 ms`."""
    told = [span(found.get(name)) for name in ("p50", "p95", "p99")]
    units = {each.rsplit(" ", 1)[-1] for each in told}
    if len(units) == 1 and NONE not in units:
        return " / ".join(each.rsplit(" ", 1)[0] for each in told) + f" {units.pop()}"
    return " / ".join(told)


def hours(value: float) -> str:
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def dollars(value: float, priced: bool = True) -> str:
    if not priced:
        return NONE
    return f"${value:,.2f}" if value < 1000 else f"${value:,.0f}"


def rate(value: float) -> str:
    """Requests a second."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def clock(seconds: float) -> str:
    """A time since the beginning, in its two largest units."""
    left = round(seconds)
    for size, unit, small, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if left >= size:
            rest = left % size // small
            return f"{left // size}{unit}" + (f" {rest}{smaller}" if rest else "")
    return f"{left}s"


def figures(result: Result, priced: bool) -> tuple[str, ...]:
    """What came of a run beside its attainment, as the columns of the table and the page have it."""
    return (
        spans(result.ttft),
        spans(result.tpot),
        f"{result.refused:,}",
        f"{result.unfinished:,}",
        hours(result.replica_hours),
        hours(result.gpu_hours),
        dollars(result.cost, priced),
        f"{result.changes:,}",
    )
