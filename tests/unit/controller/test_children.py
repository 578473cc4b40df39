"""What is read of a child in a member, whose status is whatever its operator wrote there."""

from __future__ import annotations

from typing import Any

import pytest

from inferops.controller.childtold import child


@pytest.mark.parametrize(
    ("scaling", "seconds"),
    [
        ({"coldStart": "95s"}, 95.0),
        ({"coldStart": "2m5s"}, 125.0),
        ({}, None),
        ({"coldStart": ""}, None),
        ({"coldStart": "0s"}, None),
        ({"coldStart": "soon"}, None),
        ({"coldStart": 95}, None),
        ({"coldStart": "9" * 400 + "s"}, None),
        ("95s", None),
    ],
)
def test_how_long_replicas_took_to_start(scaling: Any, seconds: float | None) -> None:
    assert child({"metadata": {"name": "llama"}, "status": {"scaling": scaling}}).view.cold_start == seconds
