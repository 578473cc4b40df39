"""A container's environment is put together as kubelet does, from what is really there."""

import base64

import pytest

from nodeagent.client import ApiError
from nodeagent.references import Missing, check_volumes, environment, expand

POD = {
    "metadata": {"name": "p", "namespace": "chat", "uid": "u", "labels": {"app": "x"}},
    "spec": {"nodeName": "n", "containers": []},
}


class Store:
    """The API server's Secrets and ConfigMaps."""

    def __init__(self, **objects):
        self.objects = objects

    async def get(self, path, **params):
        kind, name = path.split("/")[-2:]
        if data := self.objects.get(f"{kind}_{name}"):
            return {"data": data}
        raise ApiError("GET", path, 404, "not found")


SECRET = {"token": base64.b64encode(b"hush").decode()}


async def test_values_come_from_secrets_config_maps_and_the_pod_itself():
    container = {
        "envFrom": [{"configMapRef": {"name": "c"}, "prefix": "C_"}],
        "env": [
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "URL", "value": "http://$(IP):$(C_port)"},
            {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "s", "key": "other", "optional": True}}},
        ],
    }
    env = await environment(Store(secrets_s=SECRET, configmaps_c={"port": "80"}), POD, container, "10.0.0.9")
    assert env == {
        "C_port": "80",
        "TOKEN": "hush",
        "IP": "10.0.0.9",
        "APP": "x",
        "NODE": "n",
        "URL": "http://10.0.0.9:80",
    }


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"secretKeyRef": {"name": "gone", "key": "k"}}, 'secret "gone" not found'),
        ({"configMapKeyRef": {"name": "gone", "key": "k"}}, 'configmap "gone" not found'),
        ({"secretKeyRef": {"name": "s", "key": "k"}}, "couldn't find key k in Secret chat/s"),
    ],
)
async def test_what_is_missing_is_named_in_kubelet_s_words(entry, words):
    with pytest.raises(Missing) as missing:
        await environment(Store(secrets_s=SECRET), POD, {"env": [{"name": "X", "valueFrom": entry}]}, "")
    assert str(missing.value) == words


@pytest.mark.parametrize(
    ("volume", "fails"),
    [
        ({"secret": {"secretName": "gone"}}, True),
        ({"secret": {"secretName": "gone", "optional": True}}, False),
        ({"secret": {"secretName": "s"}}, False),
        ({"projected": {"sources": [{"configMap": {"name": "gone"}}]}}, True),
        ({"emptyDir": {"medium": "Memory"}}, False),
    ],
)
async def test_volumes_wait_for_what_they_mount(volume, fails):
    pod = POD | {"spec": {"volumes": [{"name": "v", **volume}]}}
    if fails:
        with pytest.raises(Missing, match=r'for volume "v" : .* "gone" not found'):
            await check_volumes(Store(secrets_s=SECRET), pod)
    else:
        await check_volumes(Store(secrets_s=SECRET), pod)


def test_variables_are_expanded_as_in_a_container_s_command():
    known = {"A": "1", "B_2": "two"}
    assert expand("$(A)-$(B_2)-$(C)-$$(A)-$A", known) == "1-two-$(C)-$(A)-$A"
