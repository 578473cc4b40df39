"""Which taints pods tolerate, by Kubernetes' rules; what is counted as tolerated is what their pods carry."""

from __future__ import annotations

import pytest

from inferops.api.base import Toleration
from inferops.catalogue import accelerators
from inferops.core.observation import Taint
from inferops.core.scheduling import SPOT_LABELS
from inferops.core.taints import tolerated, tolerations
from inferops.render.nodes import constraints

KNOWN = accelerators()
NO_SCHEDULE, NO_EXECUTE = Taint("a", "b", "NoSchedule"), Taint("a", "b", "NoExecute")


@pytest.mark.parametrize(
    ("case", "toleration", "of", "held"),
    [
        ("any value, any effect", {"key": "a"}, (NO_SCHEDULE, NO_EXECUTE), True),
        ("another key", {"key": "ab"}, (NO_SCHEDULE,), False),
        ("the value", {"key": "a", "operator": "Equal", "value": "b"}, (NO_SCHEDULE, NO_EXECUTE), True),
        ("another value", {"key": "a", "operator": "Equal", "value": "c"}, (NO_SCHEDULE,), False),
        ("no value", {"key": "a", "operator": "Equal"}, (Taint("a", "", "NoSchedule"),), True),
        ("the effect", {"key": "a", "effect": "NoSchedule"}, (NO_SCHEDULE,), True),
        ("another effect", {"key": "a", "effect": "NoSchedule"}, (NO_EXECUTE,), False),
        ("all but one", {"key": "a"}, (NO_SCHEDULE, Taint("c", "", "NoExecute")), False),
        ("nothing to tolerate", {"key": "a"}, (), True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_tolerated(case: str, toleration: dict[str, str], of: tuple[Taint, ...], held: bool) -> None:
    assert tolerated(of, [Toleration.model_validate(toleration)]) is held
    assert tolerated(of, []) is (not of)


@pytest.mark.parametrize("name", ["nvidia-l4", "nvidia-gb200", "amd-mi300x", "nvidia-h100-80gb-mig-1g.10gb"])
@pytest.mark.parametrize("spot", [False, True])
def test_pods_carry_what_is_counted_as_tolerated(name: str, spot: bool) -> None:
    carried = [Toleration.model_validate(one) for one in constraints(KNOWN[name], spot)["tolerations"]]
    assert carried == list(tolerations(KNOWN[name], spot))


@pytest.mark.parametrize(("key", "value"), SPOT_LABELS)
def test_only_replicas_on_spot_tolerate_what_keeps_others_off_it(key: str, value: str) -> None:
    taints = (Taint("nvidia.com/gpu", "present", "NoSchedule"), Taint(key, value, "NoExecute"))
    assert tolerated(taints, tolerations(KNOWN["nvidia-l4"], True))
    assert not tolerated(taints, tolerations(KNOWN["nvidia-l4"], False))
