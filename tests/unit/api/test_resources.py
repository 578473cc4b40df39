"""What pydantic accepts and refuses. tests/cluster/test_crds.py holds the API server to the same table."""

from typing import Any

import pytest
from pydantic import ValidationError

from cluster.bad_resources import BAD, Bad
from cluster.good_resources import GOOD
from inferops.api.problems import problems
from inferops.api.resources import KINDS

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
