"""What a rollout's status means for a script that waits for it."""

from __future__ import annotations

from typing import Any

import pytest

from inferops.cli.rolloutstate import Code, code, summary
from inferops.kube.owned import Object
from unit.cli.scenes import (
    BAD,
    NEW,
    OBSERVING,
    OLD,
    PROMOTED,
    gated,
    loading,
    observing,
    parsed,
    paused,
    retaining,
    rolled_back,
    service,
    valid,
)

REFUSED = [valid("False", "spec.accelerators[0].type: no Accelerator 'x'")]


@pytest.mark.parametrize(
    ("case", "raw", "expected"),
    [
        ("never a rollout", service({}, latestRevision=OLD), Code.ENDED),
        ("the first revision loads", service({}, stableRevision=""), Code.UNDER_WAY),
        ("a rollout has yet to begin", service({}), Code.UNDER_WAY),
        ("its replicas load", service(loading()), Code.UNDER_WAY),
        ("it is observed", service(OBSERVING), Code.UNDER_WAY),
        ("paused", service(paused()), Code.WAITS),
        ("at a manual gate", service(gated()), Code.WAITS),
        ("at another gate", service(observing(phase="Gated", gates=[{"name": "smoke", "weight": 25}])), Code.UNDER_WAY),
        ("at a gate that the spec no longer has", service(observing(gates=[{"name": "gone"}])), Code.UNDER_WAY),
        ("being rolled back", service(observing(phase="RollingBack")), Code.UNDER_WAY),
        ("... from a manual gate", service(gated(phase="RollingBack")), Code.UNDER_WAY),
        ("rolled back", service(rolled_back()), Code.ROLLED_BACK),
        ("rolled back, and back at the old spec", service(rolled_back(), latestRevision=OLD), Code.ROLLED_BACK),
        ("rolled back, and another spec since", service(rolled_back(), latestRevision="c0ffee0000"), Code.UNDER_WAY),
        ("promoted", service(retaining(), **PROMOTED), Code.ENDED),
        ("long promoted", service(retaining(phase="Succeeded"), **PROMOTED), Code.ENDED),
        ("promoted, and another spec since", service(retaining(), **PROMOTED, latestRevision=BAD), Code.UNDER_WAY),
        ("a newer spec than the operator saw", service(retaining(), generation=3, **PROMOTED), Code.UNDER_WAY),
        ("nobody ever looked at it", {**service(), "status": {}}, Code.UNDER_WAY),
        ("a spec that cannot be served", service({}, conditions=REFUSED), Code.ERROR),
        ("... and a newer one", service({}, generation=3, conditions=REFUSED), Code.UNDER_WAY),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_the_exit_code(case: str, raw: Object, expected: Code) -> None:
    assert code(parsed(raw)) == expected


@pytest.mark.parametrize(
    ("rollout", "told"),
    [
        ({}, "Idle"),
        (loading(), f"Loading, 3 steps, revision {NEW} gets 0% of requests"),
        (OBSERVING, f"Observing, step 2 of 3 (25%), revision {NEW} gets 25% of requests, errorRate NoWorse, "
                    "ttft Undecided, tpot NotJudged"),
        (paused(analysis={}), f"Observing, paused, step 2 of 3 (25%), revision {NEW} gets 25% of requests"),
        (gated(analysis={}), f"Gated, step 3 of 3 (50%), revision {NEW} gets 25% of requests, gate owner waits for "
                             "somebody"),
        (observing(phase="Promoting", analysis={}), f"Promoting, revision {NEW} gets 25% of requests"),
        (observing(skipped=True, analysis={}), f"Observing, revision {NEW} gets 25% of requests"),
        (rolled_back(), "RolledBack"),
    ],
)  # fmt: skip
def test_all_of_it_in_one_line(rollout: Any, told: str) -> None:
    assert summary(parsed(service(rollout))) == told
