"""What sizing chooses for a spec that lists nothing, and that it stays chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from inferops.api.inferenceservicestatus import InferenceServiceStatus, SizingStatus
from inferops.api.resources import InferenceService
from inferops.catalogue import accelerators, runtimes
from inferops.core import choices
from inferops.core.decide import Decision, decide
from inferops.core.facts import ModelFacts, Precision
from inferops.core.observation import NodeView, Observation, RevisionView
from inferops.core.revision import BatchLimits, RevisionSpec
from inferops.runtimes import ENGINES
from unit.core.building import NOW
from unit.core.models import LLAMA2_7B, LLAMA2_70B, LLAMA31_8B

KNOWN = dict(accelerators())
SLO = {"tpot": "50ms", "ttft": "800ms"}


def service(status: InferenceServiceStatus | None = None, runtime: str = "vllm", **spec: Any) -> InferenceService:
    model = {"uri": "hf://meta-llama/Llama-3.1-8B-Instruct", **spec.pop("model", {})}
    meta = {"name": "llama", "namespace": "chat", "uid": "u1", "generation": 1}
    raw = {
        "apiVersion": "serving.inferops.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": meta,
        "spec": {"model": model, "runtime": {"name": runtime}, **spec},
    }
    parsed = InferenceService.model_validate(raw)
    return parsed.model_copy(update={"status": status or InferenceServiceStatus()})


def node(name: str, kind: str, count: int = 8) -> NodeView:
    label = KNOWN[kind].node_labels[0]
    return NodeView(name, {label.key: label.values[0]}, {KNOWN[kind].resource_name: count})


def world(of: InferenceService, facts: ModelFacts | None, *nodes: NodeView, **more: Any) -> Observation:
    name = of.spec.runtime.name
    share = ENGINES[name].memory_share(runtimes()[name], of.spec.runtime.args)
    sizing = None
    if facts is not None and share is not None:
        sizing = choices.size_for(of.spec, facts, more.get("accelerators", KNOWN), share)
    given: dict[str, Any] = {
        "runtime": runtimes()[name],
        "runtime_names": tuple(runtimes()),
        "engine": ENGINES[name],
        "accelerators": KNOWN,
        "sizable": share is not None,
    }
    return Observation(service=of, now=NOW, nodes=nodes, sizing=sizing, **{**given, **more})


def asked_for(decision: Decision) -> RevisionSpec:
    (plan,) = [plan for plan in decision.revisions if plan.new is not None]
    assert plan.new is not None
    return plan.new


def after(decision: Decision) -> tuple[InferenceServiceStatus, RevisionView]:
    """The world once `decision` is done: its status, and its new revision on record."""
    made = asked_for(decision)
    return decision.status.model_copy(update={"latest_revision": made.hash}), RevisionView(made.hash, made, order=1)


def condition(decision: Decision, kind: str) -> tuple[str, str, str]:
    found = next(c for c in decision.status.conditions if c.type == kind)
    return found.status, found.reason, found.message


def test_a_model_and_an_slo_get_the_cheapest_that_some_node_has() -> None:
    anywhere = asked_for(decide(world(service(slo=SLO), LLAMA31_8B))).accelerator
    cheapest = choices.choices(world(service(slo=SLO), LLAMA31_8B))[0]
    assert anywhere == cheapest
    here = asked_for(decide(world(service(slo=SLO), LLAMA31_8B, node("a", "nvidia-h200"), node("b", "nvidia-l40s"))))
    assert (here.accelerator.type, here.accelerator.count) == ("nvidia-l40s", 1)


def test_the_status_gives_the_options_what_was_chosen_and_what_would_be_cheaper() -> None:
    decision = decide(world(service(slo=SLO), LLAMA31_8B, node("a", "nvidia-h200")))
    told = decision.status.sizing
    assert told.model.startswith("Llama-3.1-8B: 8.03 billion parameters, bf16, 32 layers")
    assert "1x nvidia-h200" in [option.accelerator for option in told.options]
    assert told.rejected and all(KNOWN["nvidia-h200"].price for _ in told.rejected)
    assert any("sizing chose 1x nvidia-h200 at bf16 out of" in line for line in decision.status.explain)
    InferenceServiceStatus.model_validate(decision.status.dump())


def test_what_was_chosen_stays_when_prices_change_facts_are_lost_or_another_node_comes() -> None:
    first = decide(world(service(slo=SLO), LLAMA31_8B, node("a", "nvidia-h200")))
    status, made = after(first)
    again = service(status, slo=SLO)
    dear = KNOWN["nvidia-h200"].model_copy(update={"price": None})
    for changed in (
        world(again, LLAMA31_8B, node("a", "nvidia-h200"), node("b", "nvidia-l40s"), revisions=(made,)),
        world(again, None, node("a", "nvidia-h200"), revisions=(made,)),
        world(
            again, LLAMA31_8B, node("a", "nvidia-h200"), revisions=(made,), accelerators={**KNOWN, "nvidia-h200": dear}
        ),
        world(again, LLAMA2_70B, node("a", "nvidia-h200"), revisions=(made,)),
    ):
        assert [plan.hash for plan in decide(changed).revisions] == [made.hash]


def test_another_wish_is_sized_anew_and_keeps_the_accelerator_where_it_will_do() -> None:
    status, made = after(decide(world(service(slo=SLO), LLAMA31_8B, node("a", "nvidia-h200"))))
    nodes = (node("a", "nvidia-h200"), node("b", "nvidia-l40s"), node("c", "nvidia-b200"))
    calm = world(service(status, slo={"tpot": "60ms"}), LLAMA31_8B, *nodes, revisions=(made,))
    assert [plan.hash for plan in decide(calm).revisions] == [made.hash], "it would do, so nothing restarts"
    fast = world(service(status, slo={"tpot": "5ms"}), LLAMA31_8B, *nodes, revisions=(made,))
    assert asked_for(decide(fast)).accelerator.type == "nvidia-b200"


def test_a_wish_that_the_same_revision_meets_is_remembered_as_well() -> None:
    nodes = (node("a", "nvidia-h200"), node("b", "nvidia-l40s"), node("c", "nvidia-b200"))
    status, made = after(decide(world(service(slo=SLO), LLAMA31_8B, nodes[0])))
    calm = decide(world(service(status, slo={"tpot": "10ms"}), LLAMA31_8B, *nodes, revisions=(made,)))
    assert [plan.hash for plan in calm.revisions] == [made.hash]
    slower = {**KNOWN, "nvidia-h200": KNOWN["nvidia-h200"].model_copy(update={"bandwidth_gbps": 1000.0})}
    of = service(calm.status, slo={"tpot": "10ms"})
    known = decide(world(of, LLAMA31_8B, *nodes, revisions=(made,), accelerators=slower))
    assert [plan.hash for plan in known.revisions] == [made.hash], "what was found to do is not judged again"
    lost = service(calm.status.model_copy(update={"sizing": SizingStatus()}), slo={"tpot": "10ms"})
    again = decide(world(lost, LLAMA31_8B, *nodes, revisions=(made,), accelerators=slower))
    assert asked_for(again).accelerator.type == "nvidia-b200", "the bandwidth does count"


def test_a_model_of_which_nothing_is_known_says_so_and_how_to_help() -> None:
    decision = decide(world(service(), None, unsized="hub.example: 401; give spec.model.config"))
    status, reason, message = condition(decision, "Valid")
    assert (status, reason) == ("False", "ModelUnknown")
    assert "spec.accelerators: none can be chosen: hub.example: 401; give spec.model.config" in message
    assert decision.status.sizing.model == "hub.example: 401; give spec.model.config"


def test_an_engine_that_serves_anything_needs_accelerators_to_be_named() -> None:
    decision = decide(world(service(runtime="triton", model={"uri": "pvc://models/repository"}), LLAMA31_8B))
    assert condition(decision, "Valid")[:2] == ("False", "AcceleratorRequired")


def test_a_wish_that_nothing_meets_says_what_came_nearest_and_what_to_relax() -> None:
    decision = decide(world(service(slo={"tpot": "1ms"}), LLAMA2_70B))
    status, reason, message = condition(decision, "Valid")
    assert (status, reason) == ("False", "NoAcceleratorFits")
    assert "above the TPOT of 1 ms" in message and "relax spec.slo" in message


def test_accelerators_that_are_listed_are_judged_and_never_overruled() -> None:
    decision = decide(world(service(accelerators=[{"type": "nvidia-l4"}]), LLAMA31_8B, node("a", "nvidia-l4")))
    made = asked_for(decision)
    assert (made.accelerator.type, made.sized_for, made.batch) == ("nvidia-l4", "", None)
    assert any("may not do, by sizing's estimate: it holds" in line for line in decision.status.explain)
    assert any(line.startswith("1x nvidia-l4 at bf16 holds") for line in decision.status.sizing.rejected)


@pytest.mark.parametrize(
    ("quantization", "kind", "made"), [("auto", "nvidia-h100-80gb", "fp8"), (None, "nvidia-h200", None)]
)
def test_quantization_is_chosen_only_where_that_is_allowed(
    quantization: str | None, kind: str, made: str | None
) -> None:
    model = {"maxModelLen": 4096, **({"quantization": quantization} if quantization else {})}
    nodes = (node("a", "nvidia-h100-80gb", 1), node("b", "nvidia-h200", 2))
    found = asked_for(decide(world(service(model=model, load={"concurrency": 1}), LLAMA2_70B, *nodes)))
    assert (found.accelerator.type, found.model.quantization) == (kind, made)


def test_a_checkpoint_that_is_quantized_is_not_quantized_again() -> None:
    facts = replace(LLAMA31_8B, precision=Precision.FP8)
    found = asked_for(decide(world(service(model={"quantization": "auto"}), facts, node("a", "nvidia-l40s"))))
    assert found.model.quantization is None


def test_a_choice_that_only_fits_with_smaller_batches_tells_the_engine_so() -> None:
    facts = replace(LLAMA31_8B, params=36.6e9, active_params=36.6e9)
    spec = {"model": {"maxModelLen": 20_000}, "load": {"concurrency": 1}}
    found = asked_for(decide(world(service(**spec), facts, node("a", "nvidia-h100-80gb", 1))))
    assert found.accelerator.type == "nvidia-h100-80gb"
    assert found.batch == BatchLimits(tokens=2048, sequences=256)


def test_a_list_that_only_fits_with_smaller_batches_is_told_so_and_left_alone() -> None:
    facts = replace(LLAMA31_8B, params=36.6e9, active_params=36.6e9)
    of = service(model={"maxModelLen": 20_000}, accelerators=[{"type": "nvidia-h100-80gb"}])
    decision = decide(world(of, facts, node("a", "nvidia-h100-80gb", 1)))
    assert asked_for(decision).batch is None
    assert "only with batches of at most 2048 tokens and 256 sequences" in decision.status.explain[0]


def test_accelerators_that_the_engine_has_no_image_for_are_not_chosen() -> None:
    types = {choice.type for choice in choices.choices(world(service(), LLAMA2_7B))}
    for name, accelerator in KNOWN.items():
        if ENGINES["vllm"].amd_image is None and accelerator.vendor == "amd":
            assert name not in types


def test_slices_and_spot_are_what_they_are() -> None:
    found = choices.choices(world(service(model={"maxModelLen": 4096}), LLAMA31_8B))
    assert all(not choice.spot for choice in found)
    assert all(choice.count == 1 for choice in found if KNOWN[choice.type].slice)
    assert len({(choice.type, choice.count, choice.nodes) for choice in found}) == len(found)
