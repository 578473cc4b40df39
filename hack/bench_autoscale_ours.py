"""Our own rule in the comparison: what users set of it, its grid, and what sizing would have told it beforehand."""

from __future__ import annotations

from dataclasses import dataclass

from bench_autoscale_cases import Service
from inferops.core.autoscale.terms import Goals, Seed
from inferops.simulate.scaling.ours import Ours


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user promises: the default is that of `spec.slo.attainment`."""

    attainment: float = 0.99


GRID = tuple(Settings(share) for share in (0.95, 0.97, 0.98, 0.985, 0.99, 0.993, 0.995, 0.997, 0.999, 0.9995))


def made(settings: Settings, service: Service) -> Ours:
    """The rule, which knows of a replica what sizing reckons before anything was measured."""
    goals, curves = service.goals, service.curves
    each = int(goals.concurrency)
    seed = Seed(each, float(curves.ttft[each]), float(curves.tpot[each]), curves.output)
    return Ours(
        Goals(
            mode="auto",
            lowest=1,
            highest=service.highest,
            ttft=goals.ttft,
            tpot=goals.tpot,
            attainment=settings.attainment,
        ),
        seed,
    )
