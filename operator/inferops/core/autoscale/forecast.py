"""How many requests a second will come once a replica that is begun now is ready.

Several plain forecasts run side by side: exponential means of several lengths, the same with their trend (Holt's linear
method, damped), and one by the shape of the day before. Each is measured by its own error at just this horizon, and the
one that erred least of late is believed. So nobody says how fast a service's load moves: smooth, jumpy or daily. Rises
that stand out from the noise are rare and weigh little in that, and are when it matters: there the trend is followed as
long as that has erred less in rises.
Sources: Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 3rd edition, chapters 8.1 to 8.3 and 5.8.
"""

from __future__ import annotations

from math import exp, log, sqrt
from typing import NamedTuple

LENGTHS = (60.0, 180.0, 480.0)  # seconds of an exponential mean
TREND = 5.0  # times that for the mean from which it takes its trend
SURE = 10.0  # seconds before which all that was counted makes one mean: the first moments say no more than others
NOTHING = (0.0,) * len(LENGTHS)
FORECASTS = 2 * len(LENGTHS) + 1
MEMORY = 6 * 3600.0  # seconds; half-life of a forecast's errors
WORST = 0.25  # square of a log error; worse ones say no more
BETTER = 0.97  # times the error of the one believed; else it is left for nothing
# What an error counts, in the order of `Outlook.errors`: of two that err alike the steadier one is believed.
COUNTS = (1.02, 1.04, 1.01, 1.03, 1.0, 1.02, 1.02)
EVERY = 60.0  # seconds between two forecasts that are remembered to be measured
REMEMBERED = 32
REALISED = 60.0  # seconds of the mean that a forecast is measured by
FEWEST, MOST = 0.4, 2.0  # times the mean; nothing less or more is predicted
DAY, BINS = 86400.0, 96
LEAST = 1e-3  # requests a second that count as none
FAR = 9.0  # times the noise's mean square
NOISE = 900.0  # seconds of the mean by which the noise of a look is known
RISE = 2.0  # a rise: the shortest mean is above that of its trend by so many times the noise of a look
FOLLOWED = 1  # what follows a rise: the shortest mean with its trend, of the forecasts
RISES = 30.0  # forecasts made in rises, of the mean of their errors
SUDDEN, QUIETEST = 4.0, 0.1  # a step: so many times that noise, which is no less than this, in two looks in a row


class Outlook(NamedTuple):
    """What is known of a service's arrivals. Rates are requests a second, times Unix seconds."""

    means: tuple[float, ...] = ()  # by LENGTHS; empty before the first look
    slow: tuple[float, ...] = ()  # TREND times longer ones
    span: float = 0.0  # seconds that all of them are of
    minute: float = 0.0  # mean of some REALISED seconds
    last: float = 0.0  # the rate of the last look
    level: float = 0.0  # what the last two looks had at least
    noise: float = 0.04  # mean square of log(rate of a look / mean before it)
    errors: tuple[float, ...] = (0.0,) * FORECASTS  # mean squares of log(came / forecast)
    believed: int = 0  # at this look
    best: int = 0  # to be believed from the next look on
    # (when they come true, forecasts, whether they were made in a rise)
    pending: tuple[tuple[float, tuple[float, ...], bool], ...] = ()
    rising: tuple[float, float] = (0.0, 0.0)  # such errors in rises, of the forecast believed and of what follows them
    day: tuple[float, ...] = (-1.0,) * BINS  # mean rate by time of day; -1: not known

    @property
    def rate(self) -> float:
        """What comes now, smoothed as the forecast that is believed."""
        return self.means[min(self.believed, FORECASTS - 2) // 2] if self.means else 0.0

    @property
    def height(self) -> float:
        """What comes now, and all of a burst that lasts for two looks."""
        return max(self.means[0], self.level) if self.means else 0.0

    @property
    def burst(self) -> float:
        """Burstiness: root mean square of the log of a look's rate beside the mean before it."""
        return sqrt(self.noise)


def observe(before: Outlook, now: float, seconds: float, rate: float, horizon: float) -> tuple[Outlook, float]:
    """Take in that `rate` came over the last `seconds`; returns the forecast for `horizon` seconds from now too."""
    before = _stepped(before, rate, seconds)
    known = before.span if before.means else 0.0
    least = seconds / (known + seconds) if known < SURE else 0.0  # of the rate, in a mean
    means = _follow(before.means or NOTHING, rate, seconds, 1.0, least)
    slow = _follow(before.slow if before.means else NOTHING, rate, seconds, TREND, least)
    minute = before.minute + max(1 - exp(-2 * seconds / REALISED), least) * (rate - before.minute)
    day = _day(before.day, now, seconds, rate)
    # By what was best and known of the day before now: else more load could mean less of a forecast.
    made = before._replace(
        means=means,
        slow=slow,
        span=known + seconds,
        minute=minute,
        last=rate,
        level=min(rate, before.last),
        day=day,
        believed=before.best,
    )
    forecasts = _forecasts(made, before.day, now, horizon)
    rises = means[0] > slow[0] * exp(RISE * sqrt(before.noise))
    usual, followed = before.rising
    told = forecasts[made.believed]
    if rises and followed <= usual:
        told = max(told, forecasts[FOLLOWED])
    return _measured(made, now, forecasts, horizon, rises), told


def _stepped(before: Outlook, rate: float, seconds: float) -> Outlook:
    """With the noise of a look; and where two in a row were far above it, all means are at the new level at once."""
    if not before.means:
        return before
    away = log(max(rate, LEAST) / max(before.means[0], LEAST))
    share = 1 - exp(-seconds / NOISE)
    # What stays away from a mean that follows is no noise but a step, and one look far away is no more than one.
    moved = log(max(rate, LEAST) / max(before.last, LEAST))
    usual = max(before.noise, QUIETEST * QUIETEST)
    square = min(away * away, 2 * moved * moved, FAR * usual)
    made = before._replace(noise=before.noise + share * (square - before.noise))
    level = min(rate, before.last)
    if level <= before.means[0] * exp(SUDDEN * max(sqrt(before.noise), QUIETEST)):
        return made
    return made._replace(
        noise=before.noise,
        means=tuple(max(mean, level) for mean in before.means),
        slow=tuple(max(mean, level) for mean in before.slow),
    )


def _follow(means: tuple[float, ...], rate: float, seconds: float, times: float, least: float) -> tuple[float, ...]:
    return tuple(
        mean + max(1 - exp(-seconds / (times * length)), least) * (rate - mean)
        for mean, length in zip(means, LENGTHS, strict=True)
    )


def _forecasts(made: Outlook, day: tuple[float, ...], now: float, horizon: float) -> tuple[float, ...]:
    """All of them, in the order of `Outlook.errors`: for each length without trend and with it, then the day's."""
    found: list[float] = []
    for mean, slow, length in zip(made.means, made.slow, LENGTHS, strict=True):
        trend = (mean - slow) / ((TREND - 1) * length)
        found.append(mean)
        found.append(min(max(mean + trend * (horizon + length), FEWEST * mean), MOST * mean))
    then, ahead = _at(day, now - LENGTHS[0]), _at(day, now + horizon)
    grows = ahead / then if then > LEAST and ahead >= 0 else 1.0
    found.append(made.means[1] * min(max(grows, FEWEST), MOST))
    return tuple(found)


def _measured(made: Outlook, now: float, forecasts: tuple[float, ...], horizon: float, rises: bool) -> Outlook:
    """Book the errors of forecasts that came true, and remember those made now."""
    due = [(told, rose) for when, told, rose in made.pending if when <= now]
    pending = tuple(each for each in made.pending if each[0] > now)
    errors = made.errors
    came = log(max(made.minute, LEAST))
    share = 1 - 0.5 ** (EVERY / MEMORY)
    rising = made.rising
    for told, rose in due:
        erred = [min((came - log(max(forecast, LEAST))) ** 2, WORST) for forecast in told]
        errors = tuple(error + share * (each - error) for error, each in zip(errors, erred, strict=True))
        if rose:
            usual, followed = rising
            rising = (
                usual + (erred[made.believed] - usual) / RISES,
                followed + (erred[FOLLOWED] - followed) / RISES,
            )
    if not pending or now + horizon >= pending[-1][0] + EVERY:
        pending = (*pending[-REMEMBERED + 1 :], (now + horizon, forecasts, rises))
    judged = [error * counts for error, counts in zip(errors, COUNTS, strict=True)]
    best = min(range(FORECASTS), key=judged.__getitem__)
    best = best if judged[best] < BETTER * judged[made.believed] else made.believed
    return made._replace(errors=errors, pending=pending, best=best, rising=rising)


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
