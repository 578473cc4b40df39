"""What pydantic accepts and refuses. tests/cluster/test_crds.py holds the API server to the same table."""

from typing import Any

import pytest
from pydantic import ValidationError

from cluster.bad_resources import BAD, Bad
from cluster.good_resources import GOOD, SERVICE_KIND, resource
from inferops.api.problems import problems
from inferops.api.resources import KINDS, InferenceService

MODELS = {kind.name: kind.model for kind in KINDS}


@pytest.mark.parametrize("good", GOOD, ids=lambda good: good["metadata"]["name"])
def test_good_resources_are_accepted_and_stay_as_they_are(good: dict[str, Any]) -> None:
    model = MODELS[good["kind"]]
    parsed = model.model_validate(good)
    assert model.model_validate(parsed.dump()) == parsed


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.case)
def test_bad_resources_are_refused_with_field_and_remedy(bad: Bad) -> None:
    with pytest.raises(ValidationError) as refused:
        MODELS[bad.kind].model_validate(bad.resource)
    (problem,) = problems(refused.value)
    assert bad.field in problem
    assert bad.remedy in problem


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"spec.slo.ttft": "soon"}, ["spec.slo.ttft: must be a duration, for example 800ms, 30s, 5m or 1h30m"]),
        (
            {"spec.runtime.env": [{"name": "A", "value": "1"}, {"value": "2"}]},
            ["spec.runtime.env[1].name: Field required"],
        ),
        (
            {"spec.placement.clusters": {"matchLabels": {"a b": "c"}}},
            ["spec.placement.clusters.matchLabels.a b: must be a label's key, for example example.com/tier"],
        ),
        (
            {"spec.scaling.maxReplicas": 0, "spec.traffic.maxQueue": "many"},
            [
                "spec.scaling.maxReplicas: Input should be greater than or equal to 1",
                "spec.traffic.maxQueue: Input should be a valid integer",
            ],
        ),
    ],
    ids=lambda value: next(iter(value)),
)
def test_problems_read_as_those_of_the_api_server(changes: dict[str, Any], expected: list[str]) -> None:
    with pytest.raises(ValidationError) as refused:
        InferenceService.model_validate(resource(SERVICE_KIND, "bad", changes))
    assert problems(refused.value) == expected
