"""A ClusterProfile says where a cluster is, the admin's file by which command one logs in there; nobody says both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.certificates import Authority, make_authority
from inferops.kube import clusterprofile
from inferops.kube.access import configuration_of
from inferops.kube.clusterprofile import ARGUMENTS, FLAG, VARIABLES, Provider, read_providers
from inferops.kube.kubeconfig import FOR_PLUGINS, AccessRefused
from unit.kube.tlsserver import Config, answering, ask, encoded, plugin, serving

V1 = "client.authentication.k8s.io/v1"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("ours"), "ca")


def provider(name: str, command: Config | None = None, **more: Any) -> Provider:
    return Provider.model_validate(
        {"name": name, "execConfig": command or {"apiVersion": V1, "command": "login"}, **more}
    )


def profile(*names: str, part: str = "accessProviders", extensions: Config | None = None, **cluster: Any) -> Config:
    listed = [{"name": name, "extension": value} for name, value in (extensions or {}).items()]
    there = {"server": "https://east", "extensions": listed, **cluster}
    return {"status": {part: [{"name": name, "cluster": there} for name in names]}}


def variables(command: Config) -> dict[str, str]:
    return {each["name"]: each["value"] for each in command["env"]}


async def test_the_command_of_the_admin_logs_in_and_is_told_of_the_cluster(authority: Authority, tmp_path: Path):
    async with serving(authority) as (url, asked):
        login = plugin(
            "import json, os",
            "told = json.loads(os.environ['KUBERNETES_EXEC_INFO'])['spec']['cluster']",
            f"assert told['server'] == {url!r} and told['certificate-authority-data'], told",
            "assert told['config'] == {'clusterName': 'east'}, told",
            f"print({answering(token='of-a-provider')!r})",
        )["exec"]
        file = tmp_path / "providers.json"
        file.write_text(
            json.dumps({"providers": [{"name": "cloud", "execConfig": {**login, "provideClusterInfo": True}}]})
        )
        ca = encoded(authority.pair.certificate)
        told = profile(
            "other", "cloud", extensions={FOR_PLUGINS: {"clusterName": "east"}}, server=url,
            **{"certificate-authority-data": ca},
        )  # fmt: skip
        to = clusterprofile.access(told, read_providers(file), ())
        assert await ask(await configuration_of(to)) == "u-1"
    assert [each["authorization"] for each in asked] == ["Bearer of-a-provider"]


def test_the_first_provider_of_the_admins_file_counts_and_both_names_of_the_list():
    both = profile("b", "a")
    assert "[a]" in clusterprofile.access(both, (provider("x"), provider("a"), provider("b")), ()).user
    old = profile("a", part="credentialProviders")
    assert clusterprofile.access(old, (provider("a"),), ()).server == "https://east"
    old["status"]["accessProviders"] = profile("a", server="https://new")["status"]["accessProviders"]
    assert clusterprofile.access(old, (provider("a"),), ()).server == "https://new"


@pytest.mark.parametrize(
    "policy, arguments",
    [({}, ["-v"]), ({"profileSourcedCLIArgsPolicy": "Ignore"}, ["-v"]),
     ({"profileSourcedCLIArgsPolicy": "Append"}, ["-v", "--cluster=east"])],
)  # fmt: skip
def test_a_profile_adds_arguments_only_where_the_admin_lets_it(policy: Config, arguments: list[str]):
    of = provider("a", {"apiVersion": V1, "command": "login", "args": ["-v"]}, **policy)
    told = profile("a", extensions={ARGUMENTS: ["--cluster=east"]})
    for _ in range(2):  # what is added once is not added again
        assert clusterprofile.access(told, (of,), ()).command["args"] == arguments


@pytest.mark.parametrize(
    "policy, found",
    [("", {"A": "ours"}), ("Ignore", {"A": "ours"}), ("AppendIfNotExists", {"A": "ours", "B": "theirs"}),
     ("Replace", {"A": "theirs", "B": "theirs"})],
)  # fmt: skip
def test_a_profile_sets_variables_only_where_the_admin_lets_it(policy: str, found: dict[str, str]):
    command = {"apiVersion": V1, "command": "login", "env": [{"name": "A", "value": "ours"}]}
    of = provider("a", command, profileSourcedEnvVarsPolicy=policy)
    told = profile("a", extensions={VARIABLES: {"A": "theirs", "B": "theirs"}})
    assert variables(clusterprofile.access(told, (of,), ()).command) == found


@pytest.mark.parametrize(
    "told, providers, why",
    [
        (profile("a"), (), f"status: the operator knows no access provider; start it with {FLAG}"),
        (profile("a"), (provider("b"),), "status.accessProviders: has a, and"),
        ({"status": None}, (provider("b"),), "status.accessProviders: has none, and"),
        (profile("a", server="http://east"), (provider("a"),), "status.accessProviders[0].cluster.server: it is http"),
        (profile("a", server=""), (provider("a"),), "status.accessProviders[0].cluster.server: there is none"),
        (
            profile("a", **{"insecure-skip-tls-verify": True}),
            (provider("a"),),
            "insecure-skip-tls-verify: nobody",
        ),
        (
            profile("a", **{"certificate-authority": "/ca"}),
            (provider("a"),),
            "certificate-authority: it is",
        ),
        (
            profile("a", extensions={ARGUMENTS: {"x": 1}}),
            (provider("a", profileSourcedCLIArgsPolicy="Append"),),
            f"extensions[{ARGUMENTS}]: must be a list of texts",
        ),
        (
            profile("a", extensions={VARIABLES: ["x"]}),
            (provider("a", profileSourcedEnvVarsPolicy="Replace"),),
            f"extensions[{VARIABLES}]: must be a mapping",
        ),
    ],
)
def test_what_is_wrong_is_named(told: Config, providers: tuple[Provider, ...], why: str):
    with pytest.raises(AccessRefused) as caught:
        clusterprofile.access(told, providers, ())
    assert why in str(caught.value)


def test_another_place_or_command_has_another_mark():
    of = (provider("a"),)
    marks = [
        clusterprofile.mark(clusterprofile.access(told, providers, ("InsecureTLS",)))
        for told, providers in (
            (profile("a"), of),
            (profile("a", server="https://west"), of),
            (profile("a", **{"insecure-skip-tls-verify": True}), of),
            (profile("a", extensions={FOR_PLUGINS: {"x": 1}}), of),
            (profile("a"), (provider("a", {"apiVersion": V1, "command": "other"}),)),
        )
    ]
    assert len(set(marks)) == len(marks)
    assert marks[0] == clusterprofile.mark(clusterprofile.access(profile("a"), of, ()))


@pytest.mark.parametrize(
    "content, why",
    [
        ("{", "JSON"),
        ("{}", "providers"),
        ('{"providers": []}', "providers"),
        ('{"providers": [{"name": "a"}]}', "execConfig"),
        ('{"providers": [{"name": "a", "execConfig": {"apiVersion": "v1", "command": ""}}]}', "command"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_by_its_field(tmp_path: Path, content: str, why: str):
    file = tmp_path / "providers.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=why):
        read_providers(file)
    with pytest.raises(ValueError, match="cannot be read"):
        read_providers(tmp_path / "nowhere")


FIELDS = ("status", "accessProviders", "credentialProviders", "name", "cluster", "server", "extensions")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("a"),
    lambda deeper: (
        st.lists(deeper, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["status", "accessProviders", "credentialProviders", "name", "cluster", "server", "extensions"]
            ),
            deeper,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(ANYTHING)
def test_whatever_stands_in_a_profile_it_is_used_or_refused(told: Any):
    try:
        assert clusterprofile.access(told if isinstance(told, dict) else {"status": told}, (provider("a"),), ()).server
    except AccessRefused as refused:
        assert str(refused)
