"""The fake's server-side apply does what the real one does, as far as the tests build on it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops import catalogue
from inferops.api.resources import InferenceService
from inferops.kube.client import KubeError
from inferops.kube.kinds import BUDGET, DEPLOYMENT, INFERENCE_SERVICE, RECORD, SERVICE
from inferops.kube.owned import digest, owned, wanted_part
from inferops.render import render_record, render_revision, render_stable, with_replicas
from inferops.runtimes import ENGINES
from unit.controller.building import service
from unit.controller.fakekube import KINDS, Fake
from unit.controller.fields import drop, fields_v1, get, merge, paths

LLAMA = InferenceService.model_validate(service())


def family() -> list[dict[str, Any]]:
    """Everything that is ever applied for a service."""
    from inferops.core.revision import revision_of

    revision = revision_of(LLAMA.spec, LLAMA.spec.accelerators[0])
    record = render_revision(
        LLAMA, revision, catalogue.runtimes()["vllm"], catalogue.accelerators()["nvidia-l4"], ENGINES["vllm"]
    )
    children = {**record.objects, "deployment": with_replicas(record.objects["deployment"], 2)}
    return [
        render_record(LLAMA, revision.hash, 1, record),
        render_stable(LLAMA, revision.hash, record),
        *children.values(),
    ]


@pytest.mark.parametrize("desired", family(), ids=lambda each: f"{each['kind']} {each['metadata']['name']}")
async def test_what_is_applied_is_read_back_as_ours(desired: dict[str, Any]) -> None:
    fake = Fake()
    live = await fake.apply(KINDS[desired["kind"]], desired, force=False)
    assert owned(live) == wanted_part(desired)
    again = await fake.apply(KINDS[desired["kind"]], desired, force=False)
    assert again == live and len(fake.changes) == 1, "the second apply changes nothing"


async def test_another_manager_s_change_is_a_conflict_until_it_is_forced() -> None:
    fake = Fake()
    [desired] = [each for each in family() if each["kind"] == "Deployment"]
    await fake.apply(DEPLOYMENT, desired, force=False)
    fake.edit(DEPLOYMENT, "chat", desired["metadata"]["name"], lambda raw: raw["spec"].update(replicas=9))
    with pytest.raises(KubeError, match="409"):
        await fake.apply(DEPLOYMENT, desired, force=False)
    edited = fake.read(DEPLOYMENT, "chat", desired["metadata"]["name"]) or {}
    assert digest(owned(edited)) != digest(wanted_part(desired))
    live = await fake.apply(DEPLOYMENT, desired, force=True)
    assert live["spec"]["replicas"] == 2 and owned(live) == wanted_part(desired)


async def test_fields_that_are_no_longer_applied_go_and_others_stay() -> None:
    fake = Fake()
    first = {"metadata": {"name": "s", "namespace": "chat", "labels": {"a": "1", "b": "2"}}, "spec": {"x": 1, "y": 2}}
    await fake.apply(SERVICE, first, force=False)
    fake.edit(SERVICE, "chat", "s", lambda raw: raw["metadata"]["labels"].update(c="3"))
    second = {"metadata": {"name": "s", "namespace": "chat", "labels": {"a": "1"}}, "spec": {"x": 1}}
    live = await fake.apply(SERVICE, second, force=False)
    assert live["metadata"]["labels"] == {"a": "1", "c": "3"} and live["spec"] == {"x": 1}


async def test_what_cannot_be_changed_is_refused() -> None:
    fake = Fake()
    record, *_ = family()
    await fake.apply(RECORD, record, force=False)
    with pytest.raises(KubeError, match="422"):
        await fake.apply(RECORD, {**record, "data": {}}, force=True)


async def test_a_uid_holds_a_write_to_its_object() -> None:
    fake = Fake()
    status = {"metadata": {"name": "llama", "namespace": "chat", "uid": "uid-other"}, "status": {}}
    with pytest.raises(KubeError, match="404"):
        await fake.apply(INFERENCE_SERVICE, status, force=True, subresource="status")
    fake.put(INFERENCE_SERVICE, service())
    with pytest.raises(KubeError, match="422"):
        await fake.apply(INFERENCE_SERVICE, status, force=True, subresource="status")


async def test_what_an_object_owns_goes_with_it() -> None:
    fake = Fake()
    fake.put(INFERENCE_SERVICE, service())
    for desired in family():
        await fake.apply(KINDS[desired["kind"]], desired, force=False)
    assert fake.all(BUDGET, "app.kubernetes.io/managed-by=inferops")
    fake.remove(INFERENCE_SERVICE, "chat", "llama")
    assert not fake.objects
    assert [event for event, _, _ in fake.changes].count("DELETED") == 6


leaves = st.integers(0, 2) | st.lists(st.integers(0, 2), max_size=2)
items = st.dictionaries(st.sampled_from(["value", "more"]), leaves, max_size=2)
lists = st.dictionaries(st.sampled_from("abc"), items, max_size=3).map(
    lambda named: [{"name": name, **item} for name, item in named.items()]
)
objects = st.fixed_dictionaries(
    {}, optional={"x": leaves, "env": lists.filter(bool), "map": st.dictionaries(st.sampled_from("pq"), leaves)}
)


@settings(max_examples=40)
@given(objects, objects)
def test_merging_gives_each_field_its_value(live: Any, wanted: Any) -> None:
    merged = merge(live, wanted)
    for path in paths(wanted):
        if path[-1].startswith("k:") or get(wanted, path) == {}:
            assert get(merged, path) is not None
        else:
            assert get(merged, path) == get(wanted, path)
    kept = set(paths(live)) - set(paths(wanted))
    for path in kept:
        if not any(path[: len(other)] == other or other[: len(path)] == path for other in paths(wanted)):
            assert get(merged, path) == get(live, path)
    assert merge(merged, wanted) == merged


@settings(max_examples=40)
@given(objects)
def test_dropping_all_that_was_applied_leaves_no_field_of_it(applied: Any) -> None:
    rest = applied
    for path in sorted(set(paths(applied)), key=len, reverse=True):
        rest = drop(rest, path)
    assert all(get(rest, path) is None for path in paths(applied))


@settings(max_examples=40)
@given(objects)
def test_fields_read_back_by_the_operator(applied: Any) -> None:
    entry = {"manager": "inferops", "operation": "Apply", "fieldsV1": fields_v1(set(paths({"spec": applied})))}
    assert owned({"metadata": {"managedFields": [entry]}, "spec": applied}) == {"spec": applied}
