"""Finds the constants of core/calibration.py: those with the smallest mean of |predicted / measured - 1|.

A prediction is a sum of work times its costs, so that this is a convex problem: least absolute deviations with lower
bounds, solved by least squares whose weights are drawn towards it step by step.
"""

from __future__ import annotations

from collections.abc import Sequence

from inferops.core.calibration import IDEAL, Calibration, Work

Rows = Sequence[Sequence[float]]

STEPS = 60
SMALLEST = 1e-4  # a relative error below it weighs no more
SWEEPS = 400
BOUNDS = IDEAL.costs()  # nothing is faster than the data sheet, nothing that is counted takes less than no time


def fit(measured: Sequence[tuple[Work, float]]) -> Calibration:
    """The constants for pairs of the work between two tokens and the seconds that it was measured to take."""
    rows = [tuple(amount / seconds for amount in work) for work, seconds in measured]
    costs = [max(bound, 1e-6) * 1.5 for bound in BOUNDS]
    for _ in range(STEPS):
        weights = [1 / max(SMALLEST, abs(_dot(row, costs) - 1)) for row in rows]
        costs = _least_squares(rows, weights, costs)
    return _calibration(costs)


def _least_squares(rows: Rows, weights: Sequence[float], start: Sequence[float]) -> list[float]:
    """Costs that make the weighted squares of each row's product with them, less one, smallest: by coordinates."""
    pairs = list(zip(weights, rows, strict=True))
    scale = [max(1e-300, sum(weight * row[i] ** 2 for weight, row in pairs)) ** 0.5 for i in range(len(start))]
    scaled = [(weight, [value / by for value, by in zip(row, scale, strict=True)]) for weight, row in pairs]
    square, target = _normal_equations(scaled, len(start))
    found = [value * by for value, by in zip(start, scale, strict=True)]
    for _ in range(SWEEPS):
        for i, line in enumerate(square):
            gradient = target[i] - _dot(line, found)
            found[i] = max(BOUNDS[i] * scale[i], found[i] + gradient / max(line[i], 1e-12))
    return [value / by for value, by in zip(found, scale, strict=True)]


def _normal_equations(scaled: list[tuple[float, list[float]]], size: int) -> tuple[list[list[float]], list[float]]:
    square, target = [[0.0] * size for _ in range(size)], [0.0] * size
    for weight, row in scaled:
        for i, value in enumerate(row):
            target[i] += weight * value
            line = square[i]
            for j in range(i + 1):
                line[j] += weight * value * row[j]
    for i in range(size):
        for j in range(i):
            square[j][i] = square[i][j]
    return square, target


def _dot(first: Sequence[float], second: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(first, second, strict=True))


def _calibration(costs: Sequence[float]) -> Calibration:
    cost = Work(*costs)
    return Calibration(
        bandwidth=1 / cost.weights,
        cache_bandwidth=1 / cost.cache,
        arithmetic=1 / cost.arithmetic,
        expert_arithmetic=1 / cost.experts,
        link=1 / cost.transfer,
        hop_seconds=cost.hops,
        layer_seconds=cost.layers,
        expert_layer_seconds=cost.expert_layers,
        latent_layer_seconds=cost.latent_layers,
        sequence_seconds=cost.sequences,
    )
