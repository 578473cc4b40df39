"""Which taints of nodes the pods of a replica tolerate: the same ones for the pods and for the count of free nodes."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.base import Toleration
from inferops.core.observation import Taint
from inferops.core.scheduling import SPOT_LABELS

SPOT = tuple(Toleration(key=key, operator="Equal", value=value) for key, value in SPOT_LABELS)


def tolerations(accelerator: AcceleratorSpec, spot: bool) -> tuple[Toleration, ...]:
    """What every pod of a replica tolerates: its accelerator's taints, and on spot nodes those of such."""
    return (*accelerator.tolerations, *(SPOT if spot else ()))


def untolerated(wanted: Iterable[Toleration], by: Collection[Toleration]) -> list[str]:
    """The keys of those of `wanted` that are not in `by`."""
    return sorted({each.key for each in wanted if each not in by})


def tolerated(taints: Iterable[Taint], by: Collection[Toleration]) -> bool:
    """Whether pods with the tolerations `by` may be put on a node with `taints`."""
    return all(any(_tolerates(each, taint) for each in by) for taint in taints)


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    any_value, any_effect = toleration.operator == "Exists", toleration.effect is None
    return (
        toleration.key == taint.key
        and (any_value or (toleration.value or "") == taint.value)
        and (any_effect or toleration.effect == taint.effect)
    )
