"""How Dynamo's planner forecasts the requests of its next interval: as the last one, by ARIMA, or by a Kalman filter.

Its ARIMA picks its orders by an information criterion at each step. On traffic it mostly settles on one difference and
one autoregressive term, which is what stands here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import Literal

Predictor = Literal["constant", "arima", "kalman"]
Forecast = Callable[[float], float]  # from an interval's requests to the next one's
REMEMBERED = 50  # intervals
LEARNING = 5  # intervals, in which the last is the forecast


def forecast(predictor: Predictor) -> Forecast:
    """A forecast that has seen nothing yet."""
    if predictor == "arima":
        return _Arima()
    return _Kalman() if predictor == "kalman" else lambda value: value


class _Arima:
    """ARIMA(1,1,0), fitted anew by least squares at each step."""

    def __init__(self) -> None:
        self._past: deque[float] = deque(maxlen=REMEMBERED)

    def __call__(self, value: float) -> float:
        self._past.append(value)
        if len(self._past) < LEARNING:
            return value
        steps = [after - before for before, after in pairwise(self._past)]
        square = sum(step * step for step in steps[:-1])
        product = sum(before * after for before, after in pairwise(steps))
        return max(0.0, value + (product / square if square else 0.0) * steps[-1])


class _Kalman:
    """A level and a trend, with the planner's noises."""

    LEVEL, TREND, NOISE = 1.0, 0.1, 10.0  # variances

    def __init__(self) -> None:
        self._count, self._level, self._trend = 0, 0.0, 0.0
        self._var = (self.NOISE, 0.0, self.NOISE)  # of the level, of both, of the trend

    def __call__(self, value: float) -> float:
        self._count += 1
        if self._count == 1:
            self._level = value
            return value
        level, trend = self._level + self._trend, self._trend
        first, both, second = self._var
        first, both, second = first + 2 * both + second + self.LEVEL, both + second, second + self.TREND
        gain, slope = first / (first + self.NOISE), both / (first + self.NOISE)
        error = value - level
        self._level, self._trend = level + gain * error, trend + slope * error
        self._var = ((1 - gain) * first, (1 - gain) * both, second - slope * both)
        return value if self._count < LEARNING else max(0.0, self._level + self._trend)
