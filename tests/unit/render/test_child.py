"""What a member is given of a user's service."""

from __future__ import annotations

from typing import Any

from inferops.api.base import Toleration
from inferops.api.inferenceservice import AcceleratorChoice
from inferops.api.resources import InferenceService
from inferops.render.child import render_child

L4 = AcceleratorChoice(type="nvidia-l4")


def service(**spec: Any) -> InferenceService:
    meta = {"name": "llama", "namespace": "chat", "uid": "uid-1"}
    return InferenceService.model_validate(
        {"metadata": meta, "spec": {"model": {"uri": "hf://org/llama"}, "placement": {"clusters": {}}, **spec}}
    )


def child(of: InferenceService, most: int = 2, **more: Any) -> dict[str, Any]:
    """What a cluster is given that is to have `most` replicas; the API would take it."""
    made = render_child(of, "uid-hub", L4, 1, most, **{"fixed": True, **more})
    InferenceService.model_validate(made)
    spec: dict[str, Any] = made["spec"]
    return spec


def test_it_is_exported_where_it_is_to_have_replicas() -> None:
    exported = service(traffic={"export": True, "maxQueue": 7})
    assert child(exported)["traffic"] == {"export": True, "maxQueue": 7}
    assert child(exported, most=0)["traffic"] == {"maxQueue": 7}
    assert "traffic" not in child(service(traffic={"export": True}), most=0)


def test_requests_may_go_to_the_others_unless_a_picker_keeps_them_from_the_gateways_here() -> None:
    others = [("eu", "https://eu.example.com")]
    assert child(service(), others=others)["traffic"]["spillover"] == [{"name": "eu", "url": "https://eu.example.com"}]
    picked = {"endpointPicker": {"name": "picker"}}
    assert child(service(traffic=picked), others=others)["traffic"] == picked
    own = {"spillover": [{"name": "us", "url": "http://us.example.com"}]}
    assert child(service(traffic=own), others=others)["traffic"] == own


def test_its_pods_tolerate_what_the_nodes_there_have_besides_what_the_user_names() -> None:
    team, spot = Toleration(key="team", operator="Equal", value="ml"), Toleration(key="reserved", effect="NoExecute")
    spelled = [
        {"key": "team", "operator": "Equal", "value": "ml"},
        {"key": "reserved", "operator": "Exists", "effect": "NoExecute"},
    ]
    assert child(service(), tolerations=[team, spot])["tolerations"] == spelled
    own = service(tolerations=[team.dump()])
    assert child(own, tolerations=[spot, team])["tolerations"] == spelled
    assert "tolerations" not in child(service())
    many = [Toleration(key=f"k{number}") for number in range(64)]
    assert len(child(service(tolerations=[each.dump() for each in many]), tolerations=[team])["tolerations"]) == 64
