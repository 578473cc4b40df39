"""The samples are sized by the built-in catalogue: what they name holds the model and keeps what they promise."""

from __future__ import annotations

import pytest

from inferops import catalogue
from inferops.api.resources import InferenceService
from inferops.core import choices
from inferops.runtimes import ENGINES
from unit.render.building import sampled_runtimes, samples

SAMPLES = dict(samples())


@pytest.mark.parametrize("name", SAMPLES)
def test_what_a_sample_names_fits(name: str) -> None:
    service: InferenceService = SAMPLES[name]
    runtime = sampled_runtimes()[service.spec.runtime.name]
    share = ENGINES[runtime.engine].memory_share(runtime, service.spec.runtime.args)
    facts = catalogue.built_in(service.spec.model.uri)
    if share is None or not service.spec.model.uri.startswith("hf://"):
        return
    assert facts is not None, f"{service.spec.model.uri} is not in the built-in table"
    found = choices.size_for(service.spec, facts, catalogue.accelerators(), share)
    shapes = {(option.shape.accelerator, option.shape.accelerators) for option in found.options}
    for choice in service.spec.accelerators:
        why = [str(each) for each in found.rejected if choice.type in str(each)]
        assert (choice.type, choice.count) in shapes, why[:3]
