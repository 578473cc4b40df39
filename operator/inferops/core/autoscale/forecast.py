"""How many requests a second there may be once a replica that is begun now is ready: several signals to follow.

Nobody says how fast a service's load moves: smooth, jumpy or daily. So there are several plain answers, and which of
them is followed is found by what each would have cost (`candidates`), not by its error: an error weighs a minute in
which too many were expected like one in which requests came late, and most minutes matter to nobody.
Source of the trend and the steps: Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 3rd edition,
chapters 8.1 and 8.2.
"""

from __future__ import annotations

from math import exp, log, sqrt
from typing import Literal, NamedTuple, get_args

Signal = Literal["mean", "trend", "height", "day"]
SIGNALS: tuple[Signal, ...] = get_args(Signal)
LENGTH = 60.0  # seconds of the exponential mean
SLOWER = 5.0  # times that for the mean from which it takes its trend
SURE = 10.0  # seconds before which all that was counted makes one mean: the first moments say no more than others
MOST = 2.0  # times the mean; no more is predicted
DAY, BINS = 86400.0, 96
LEAST = 1e-3  # requests a second that count as none
FAR = 9.0  # times the noise's mean square
NOISE = 900.0  # seconds of the mean by which the noise of a look is known
SUDDEN, QUIETEST = 4.0, 0.1  # a step: so many times that noise, which is no less than this, in two looks in a row


class Outlook(NamedTuple):
    """What is known of a service's arrivals. Rates are requests a second, times Unix seconds."""

    mean: float | None = None  # of a minute or so; None before the first look
    slow: float = 0.0  # a longer one
    span: float = 0.0  # seconds that both are of
    last: float = 0.0  # the rate of the last look
    level: float = 0.0  # what the last two looks had at least
    noise: float = 0.04  # mean square of log(rate of a look / mean before it)
    day: tuple[float, ...] = (-1.0,) * BINS  # mean rate by time of day; -1: not known

    @property
    def rate(self) -> float:
        """What comes now."""
        return self.mean or 0.0

    @property
    def burst(self) -> float:
        """Burstiness: root mean square of the log of a look's rate beside the mean before it."""
        return sqrt(self.noise)


def observe(
    before: Outlook, now: float, seconds: float, rate: float, horizon: float
) -> tuple[Outlook, tuple[float, ...]]:
    """Take in that `rate` came over the last `seconds`; returns what each of SIGNALS says for `horizon` seconds from
    now, too: no less than what comes now."""
    before = _stepped(before, rate, seconds)
    known = 0.0 if before.mean is None else before.span
    least = seconds / (known + seconds) if known < SURE else 0.0  # of the rate, in a mean
    mean = _follow(before.mean, rate, seconds, LENGTH, least)
    made = before._replace(
        mean=mean,
        slow=_follow(None if before.mean is None else before.slow, rate, seconds, SLOWER * LENGTH, least),
        span=known + seconds,
        last=rate,
        level=min(rate, before.last),
        day=_day(before.day, now, seconds, rate),
    )
    # By what was known of the day before now: else more load could mean less of a forecast.
    signals = mean, _trend(made, horizon), max(mean, made.level), _daily(mean, before.day, now, horizon)
    return made, signals


def _stepped(before: Outlook, rate: float, seconds: float) -> Outlook:
    """With the noise of a look; and where two in a row were far above it, the means are at the new level at once."""
    if before.mean is None:
        return before
    away = log(max(rate, LEAST) / max(before.mean, LEAST))
    share = 1 - exp(-seconds / NOISE)
    # What stays away from a mean that follows is no noise but a step, and one look far away is no more than one.
    moved = log(max(rate, LEAST) / max(before.last, LEAST))
    usual = max(before.noise, QUIETEST * QUIETEST)
    square = min(away * away, 2 * moved * moved, FAR * usual)
    level = min(rate, before.last)
    if level <= before.mean * exp(SUDDEN * max(before.burst, QUIETEST)):
        return before._replace(noise=before.noise + share * (square - before.noise))
    return before._replace(mean=max(before.mean, level), slow=max(before.slow, level))


def _follow(mean: float | None, rate: float, seconds: float, length: float, least: float) -> float:
    before = mean or 0.0
    return before + max(1 - exp(-seconds / length), least) * (rate - before)


def _trend(made: Outlook, horizon: float) -> float:
    mean = made.rate
    rise = (mean - made.slow) / ((SLOWER - 1) * LENGTH)
    return min(mean + max(rise, 0.0) * (horizon + LENGTH), MOST * mean)


def _daily(mean: float, day: tuple[float, ...], now: float, horizon: float) -> float:
    """As it grew the day before."""
    then, ahead = _at(day, now - LENGTH), _at(day, now + horizon)
    grows = ahead / then if then > LEAST and ahead >= 0 else 1.0
    return mean * min(max(grows, 1.0), MOST)


def _day(day: tuple[float, ...], now: float, seconds: float, rate: float) -> tuple[float, ...]:
    """The shape of the day, with what came now: a bin follows within itself, and remembers half of the days before."""
    width = DAY / BINS
    at = int(now % DAY // width)
    known = day[at]
    follows = rate if known < 0 else known + min(seconds / width, 1.0) * 0.7 * (rate - known)
    return (*day[:at], follows, *day[at + 1 :])


def _at(day: tuple[float, ...], when: float) -> float:
    """The mean rate at that time of day, on straight lines between the bins' middles; -1: not known."""
    place = when % DAY / (DAY / BINS) - 0.5
    low = int(place // 1)
    first, second = day[low % BINS], day[(low + 1) % BINS]
    return -1.0 if first < 0 or second < 0 else first + (place - low) * (second - first)
