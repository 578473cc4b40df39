"""Which part of a live object is ours, by managedFields as API servers write them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.kube.owned import digest, owned, wanted_part

DESIRED: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "llama-0123456789",
        "namespace": "chat",
        "labels": {"app.kubernetes.io/name": "llama", "inferops.dev/revision": "0123456789"},
        "ownerReferences": [
            {"apiVersion": "serving.inferops.dev/v1alpha1", "kind": "InferenceService", "name": "llama", "uid": "u-1",
             "controller": True, "blockOwnerDeletion": True}
        ],
        "finalizers": ["inferops.dev/drain"],
    },
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"inferops.dev/revision": "0123456789"}},
        "template": {
            "metadata": {"labels": {"inferops.dev/revision": "0123456789"}},
            "spec": {
                "containers": [
                    {
                        "name": "engine",
                        "image": "vllm/vllm-openai:v0.32.0",
                        "args": ["--port=8000", "--host=0.0.0.0"],
                        "env": [{"name": "HOME", "value": "/cache"}, {"name": "USER", "value": "vllm"}],
                        "ports": [{"name": "http", "containerPort": 8000, "protocol": "TCP"}],
                        "resources": {"limits": {"nvidia.com/gpu": "1"}},
                    }
                ],
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                "volumes": [{"name": "cache", "emptyDir": {}}],
            },
        },
    },
}  # fmt: skip

# As `kubectl get --show-managed-fields` shows it after a server-side apply of the above.
CONTAINER: dict[str, Any] = {
    ".": {},
    "f:args": {},
    "f:env": {
        'k:{"name":"HOME"}': {".": {}, "f:name": {}, "f:value": {}},
        'k:{"name":"USER"}': {".": {}, "f:name": {}, "f:value": {}},
    },
    "f:image": {},
    "f:name": {},
    "f:ports": {
        'k:{"containerPort":8000,"protocol":"TCP"}': {".": {}, "f:containerPort": {}, "f:name": {}, "f:protocol": {}}
    },
    "f:resources": {"f:limits": {"f:nvidia.com/gpu": {}}},
}
FIELDS: dict[str, Any] = {
    "f:metadata": {
        "f:finalizers": {'v:"inferops.dev/drain"': {}},
        "f:labels": {"f:app.kubernetes.io/name": {}, "f:inferops.dev/revision": {}},
        "f:ownerReferences": {'k:{"uid":"u-1"}': {}},
    },
    "f:spec": {
        "f:replicas": {},
        "f:selector": {},
        "f:template": {
            "f:metadata": {"f:labels": {"f:inferops.dev/revision": {}}},
            "f:spec": {
                "f:containers": {'k:{"name":"engine"}': CONTAINER},
                "f:tolerations": {},
                "f:volumes": {'k:{"name":"cache"}': {".": {}, "f:emptyDir": {}, "f:name": {}}},
            },
        },
    },
}
CONTROLLERS = {  # what the Deployment controller owns of it
    "manager": "kube-controller-manager",
    "operation": "Update",
    "subresource": "status",
    "fieldsV1": {
        "f:metadata": {"f:annotations": {".": {}, "f:deployment.kubernetes.io/revision": {}}},
        "f:status": {"f:conditions": {".": {}, 'k:{"type":"Available"}': {".": {}, "f:type": {}}}},
    },
}


def ours(fields: Any) -> dict[str, Any]:
    return {"manager": "inferops", "operation": "Apply", "apiVersion": "apps/v1", "fieldsV1": fields}


def live(fields: Any = FIELDS, *others: Any) -> dict[str, Any]:
    """`DESIRED` as the API server returns it: with defaults, and with what others added."""
    found = copy.deepcopy(DESIRED)
    found["metadata"] |= {"uid": "u-2", "resourceVersion": "9", "generation": 1, "managedFields": [
        CONTROLLERS, ours(fields), *others]}  # fmt: skip
    found["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "1"}
    found["spec"]["progressDeadlineSeconds"] = 600
    container(found)["terminationMessagePath"] = "/dev/termination-log"
    container(found)["resources"]["requests"] = {"nvidia.com/gpu": "1"}
    found["status"] = {"conditions": [{"type": "Available"}]}
    return found


def container(of: dict[str, Any]) -> dict[str, Any]:
    first: dict[str, Any] = of["spec"]["template"]["spec"]["containers"][0]
    return first


def same(of: dict[str, Any]) -> bool:
    return digest(owned(of)) == digest(wanted_part(DESIRED))


def test_what_we_applied_is_ours_whatever_defaults_and_others_added() -> None:
    assert owned(live()) == wanted_part(DESIRED)
    assert same(live())


def sidecar(found: dict[str, Any]) -> None:
    found["spec"]["template"]["spec"]["containers"].insert(0, {"name": "istio-proxy", "image": "proxy:1"})


def others_toleration(found: dict[str, Any]) -> None:
    found["spec"]["template"]["spec"]["volumes"].append({"name": "theirs", "emptyDir": {}})


def others_finalizer(found: dict[str, Any]) -> None:
    found["metadata"]["finalizers"].insert(0, "foregroundDeletion")


def others_owner(found: dict[str, Any]) -> None:
    found["metadata"]["ownerReferences"].append({"uid": "u-9", "kind": "Backup", "name": "b", "apiVersion": "v1"})


def others_variable(found: dict[str, Any]) -> None:
    container(found)["env"].insert(1, {"name": "ADDED", "value": "1"})


def others_label(found: dict[str, Any]) -> None:
    found["metadata"]["labels"]["team"] = "chat"


@pytest.mark.parametrize(
    "add", [sidecar, others_toleration, others_finalizer, others_owner, others_variable, others_label]
)
def test_what_others_add_is_not_ours(add: Any) -> None:
    found = live()
    add(found)
    assert same(found)


def set_image(found: dict[str, Any]) -> None:
    container(found)["image"] = "vllm/vllm-openai:edited"


def set_argument(found: dict[str, Any]) -> None:
    container(found)["args"].append("--enforce-eager")


def set_variable(found: dict[str, Any]) -> None:
    container(found)["env"][0]["value"] = "/root"


def set_selector(found: dict[str, Any]) -> None:
    found["spec"]["selector"]["matchLabels"]["more"] = "x"


def drop_toleration(found: dict[str, Any]) -> None:
    found["spec"]["template"]["spec"]["tolerations"].clear()


def drop_variable(found: dict[str, Any]) -> None:
    container(found)["env"].pop()


def drop_owner(found: dict[str, Any]) -> None:
    found["metadata"]["ownerReferences"].clear()


def drop_finalizer(found: dict[str, Any]) -> None:
    found["metadata"]["finalizers"].clear()


def drop_container(found: dict[str, Any]) -> None:
    found["spec"]["template"]["spec"]["containers"].clear()


EDITS = [set_image, set_argument, set_variable, set_selector, drop_toleration, drop_variable, drop_owner,
         drop_finalizer, drop_container]  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_a_value_that_was_changed_is_seen(edit: Any) -> None:
    found = live()
    edit(found)
    assert not same(found)


def without(fields: dict[str, Any], *path: str) -> dict[str, Any]:
    """`fields` without the one at `path`, as when another manager took it over; what is empty then goes too."""
    name, *rest = path
    part = without(fields[name], *rest) if rest else {}
    return {key: value for key, value in {**fields, name: part}.items() if key != name or part}


IN_CONTAINER = ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"engine"}')


@pytest.mark.parametrize(
    "path",
    [
        ("f:spec", "f:replicas"),  # kubectl scale
        ("f:spec", "f:selector"),
        ("f:metadata", "f:labels", "f:app.kubernetes.io/name"),
        ("f:metadata", "f:ownerReferences", 'k:{"uid":"u-1"}'),
        (*IN_CONTAINER, "f:image"),  # kubectl edit
        (*IN_CONTAINER, "f:env", 'k:{"name":"USER"}', "f:value"),
        (*IN_CONTAINER, "f:env", 'k:{"name":"USER"}'),
        IN_CONTAINER,
    ],
    ids=lambda path: ".".join(path[-2:]),
)
def test_a_field_that_another_manager_took_over_is_seen(path: tuple[str, ...]) -> None:
    assert not same(live(without(FIELDS, *path)))


def test_a_field_that_we_no_longer_want_is_seen() -> None:
    newer = copy.deepcopy(DESIRED)
    del newer["spec"]["template"]["spec"]["tolerations"]
    assert digest(owned(live())) != digest(wanted_part(newer))


@pytest.mark.parametrize(
    ("case", "entry"),
    [
        ("another manager's", {**ours(FIELDS), "manager": "kubectl"}),
        ("an update under our name", {**ours(FIELDS), "operation": "Update"}),
        ("our status", {**ours(FIELDS), "subresource": "status"}),
        ("empty", ours({})),
        ("without fields", {"manager": "inferops", "operation": "Apply"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_of_what_is_not_ours_nothing_is(case: str, entry: dict[str, Any]) -> None:
    found = live()
    found["metadata"]["managedFields"] = [CONTROLLERS, entry]
    part = owned(found)
    assert not same(found)
    assert part == {} or entry["manager"] == "inferops"


@pytest.mark.parametrize("raw", [{}, {"metadata": {}}, {"metadata": {"managedFields": None}}])
def test_an_object_without_managed_fields_is_not_ours(raw: dict[str, Any]) -> None:
    assert owned(raw) == {}


@pytest.mark.parametrize(
    ("case", "value", "fields", "part"),
    [
        ("an empty map that we set", {}, {}, {}),
        ("an atomic map", {"a": {"b": 1}}, {}, {"a": {"b": 1}}),
        ("the map itself, none of its entries", {"a": 1}, {".": {}}, {}),
        ("the map itself and one entry", {"a": 1, "b": 2}, {".": {}, "f:a": {}}, {"a": 1}),
        ("an entry that is gone", {"a": 1}, {"f:a": {}, "f:gone": {}}, {"a": 1}),
        ("an atomic list", [{"a": 1}, 2], {}, [{"a": 1}, 2]),
        ("the list itself, none of its items", [1], {".": {}}, []),
        ("items of a set", ["b", "a", "c"], {'v:"a"': {}, 'v:"b"': {}}, ["b", "a"]),
        ("numbers of a set", [1, 2], {"v:2": {}}, [2]),
        ("items by several keys", [{"port": 80, "protocol": "UDP"}, {"port": 80, "protocol": "TCP", "x": 1}],
         {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:protocol": {}}},
         [{"port": 80, "protocol": "TCP"}]),
        ("an item as a whole", [{"uid": "1", "name": "n"}, {"uid": "2"}], {'k:{"uid":"1"}': {}},
         [{"uid": "1", "name": "n"}]),
        ("an item that is gone", [{"name": "a"}], {'k:{"name":"b"}': {".": {}, "f:name": {}}}, []),
        ("a map that became a number", 7, {"f:a": {}}, 7),
        ("a list that became a map", {"a": 1}, {'k:{"name":"b"}': {}}, {}),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)  # fmt: skip
def test_shapes_of_fields(case: str, value: Any, fields: dict[str, Any], part: Any) -> None:
    metadata = {"managedFields": [ours({"f:spec": {"f:x": fields}})]}
    assert owned({"metadata": metadata, "spec": {"x": value, "y": 1}}) == {"spec": {"x": part}}


trees = st.recursive(
    st.integers(0, 3) | st.text("ab.:/", max_size=4) | st.booleans() | st.lists(st.integers(0, 3), max_size=2),
    lambda children: st.dictionaries(st.text("ab.:/", min_size=1, max_size=5), children, max_size=3),
    max_leaves=8,
)


def fields_of(tree: Any) -> dict[str, Any]:
    """The fields of one who applied all of `tree`, in which lists are atomic."""
    return {f"f:{key}": fields_of(value) for key, value in tree.items()} if isinstance(tree, dict) else {}


def overlaid(tree: Any, extra: Any) -> Any:
    """`tree` with the entries of `extra` that it has not, beneath any map that is not empty."""
    if not isinstance(tree, dict) or not tree or not isinstance(extra, dict):
        return tree
    return {**extra, **{key: overlaid(value, extra.get(key)) for key, value in tree.items()}}


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["spec", "data"]), trees, min_size=1), trees)
def test_what_was_applied_is_found_under_whatever_else_there_is(applied: dict[str, Any], extra: Any) -> None:
    found = {**overlaid(applied, {"spec": extra, "data": extra, "status": extra}), "metadata": {
        "name": "x", "managedFields": [ours(fields_of(applied))]}}  # fmt: skip
    assert owned(found) == applied
    assert digest(owned(found)) == digest(wanted_part({"apiVersion": "v1", "kind": "X", **applied}))


@settings(max_examples=50)
@given(trees, trees)
def test_a_digest_tells_contents_apart_and_not_orders(one: Any, two: Any) -> None:
    if json.dumps(one, sort_keys=True) != json.dumps(two, sort_keys=True):
        assert digest({"spec": one}) != digest({"spec": two})
    if isinstance(one, dict):
        assert digest(one) == digest({key: one[key] for key in reversed(one)})


def test_the_identity_of_an_object_is_not_among_what_is_wanted() -> None:
    assert wanted_part({"apiVersion": "v1", "kind": "X", "metadata": {"name": "a", "namespace": "b", "uid": "u"}}) == {}
    assert wanted_part(DESIRED)["metadata"].keys() == {"labels", "ownerReferences", "finalizers"}
