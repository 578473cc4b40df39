"""A kubeconfig gives access to a member by what stands in it alone, and what is dangerous in it is refused by name."""

from __future__ import annotations

import asyncio
import base64
import copy
import logging
import os
import ssl
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import kube_config

from controlplane.certificates import Authority, Pair, make_authority
from inferops.kube import plainyaml
from inferops.kube.access import AccessRefused, Renewal, member_configuration
from inferops.kube.client import Client, KubeError
from inferops.kube.kinds import NAMESPACE
from unit.kube.tlsserver import answering, ask, encoded, plugin, serving

SECRET = "vErY-sEcReT"
ALL = ("Exec", "Files", "InsecureTLS")
Config = dict[str, Any]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("ours"), "ca")


@pytest.fixture(scope="module")
def client(authority: Authority) -> Pair:
    return authority.client("client", "operator")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch):
    """On a busy machine a command begins late."""
    monkeypatch.setattr("inferops.kube.access.PLUGIN_TIMEOUT", 600.0)


def config(server: str, authority: Authority, **user: Any) -> Config:
    cluster = {"server": server, "certificate-authority-data": encoded(authority.pair.certificate)}
    other = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch"}}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "east",
        "contexts": [
            {"name": "west", "context": {"cluster": "west", "user": "west"}},
            {"name": "east", "context": {"cluster": "east", "user": "robot", "namespace": "default"}},
        ],
        "clusters": [{"name": "west", "cluster": {"server": "http://west"}}, {"name": "east", "cluster": cluster}],
        "users": [{"name": "west", "user": other}, {"name": "robot", "user": user}],
    }


def certificate(pair: Pair) -> Config:
    return {"client-certificate-data": encoded(pair.certificate), "client-key-data": encoded(pair.key)}


async def loaded(what: Config, *allow: str) -> Configuration:
    return await member_configuration(yaml.safe_dump(what), allow)


async def why(what: Config | str | bytes, *allow: str) -> str:
    """The refusal."""
    text = what if isinstance(what, str | bytes) else yaml.safe_dump(what)
    with pytest.raises(AccessRefused) as caught:
        await member_configuration(text, allow)
    assert SECRET not in str(caught.value)
    return str(caught.value)


async def test_a_client_certificate_arrives_and_lies_in_no_file(
    authority: Authority, client: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = dict(kube_config._temp_files)
    async with serving(authority) as (url, asked):
        assert await ask(await loaded(config(url, authority, **certificate(client)))) == "u-1"
    assert asked == [{"certificate": ["operator"], "authorization": None}]
    assert list(tmp_path.iterdir()) == [] and kube_config._temp_files == before


async def test_where_memory_is_no_file_the_keys_are_for_us_alone_and_soon_gone(
    authority: Authority, client: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[tuple[int, int]] = []
    really = ssl.SSLContext.load_cert_chain

    def look(context: ssl.SSLContext, certfile: str, keyfile: str, password: Any = None) -> None:
        seen.extend((stat.S_IMODE(Path(file).parent.stat().st_mode), Path(file).stat().st_uid) for file in (keyfile,))
        really(context, certfile, keyfile, password)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", look)
    await loaded(config("https://east", authority, **certificate(client)))
    assert seen == [(0o700, os.getuid())] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "user, header",
    [
        ({"token": SECRET}, f"Bearer {SECRET}"),
        ({"token": f"{SECRET}\n"}, f"Bearer {SECRET}"),
        ({"username": "me", "password": SECRET}, "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()),
    ],
)
async def test_tokens_and_passwords_arrive(authority: Authority, user: Config, header: str):
    async with serving(authority) as (url, asked):
        assert await ask(await loaded(config(f"{url}/k8s/clusters/c-1/", authority, **user))) == "u-1"
    assert asked == [{"certificate": [], "authorization": header}]


async def test_another_authority_is_refused_and_nothing_is_told_to_its_server(authority: Authority, tmp_path: Path):
    async with serving(make_authority(tmp_path, "ca")) as (url, asked):
        with pytest.raises(KubeError, match="CERTIFICATE_VERIFY_FAILED") as caught:
            await ask(await loaded(config(url, authority, token=SECRET)))
        assert asked == [] and SECRET not in str(caught.value)
        insecure = config(url, authority, token="t")
        insecure["clusters"][1]["cluster"]["insecure-skip-tls-verify"] = True
        assert await ask(await loaded(insecure, "InsecureTLS")) == "u-1"


async def test_the_name_that_the_server_must_have_may_be_another_than_its_address(authority: Authority):
    async with serving(authority, "api.east.example") as (url, _):
        named = config(url, authority, token="t")
        with pytest.raises(KubeError, match="CERTIFICATE_VERIFY_FAILED"):
            await ask(await loaded(named))
        named["clusters"][1]["cluster"]["tls-server-name"] = "api.east.example"
        assert await ask(await loaded(named)) == "u-1"


async def test_no_answer_sends_the_operator_to_another_address(authority: Authority):
    async with serving(authority) as (url, asked):
        configuration = await loaded(config(f"{url}/elsewhere", authority, token="t"))
        with pytest.raises(KubeError) as caught:
            await ask(configuration)
        client = Client(configuration)
        with pytest.raises(KubeError) as watching:
            [event async for event in client.follow(NAMESPACE, "", 1, 600)]
        await client.close()
    assert caught.value.status == watching.value.status == 302 and len(asked) == 2


async def test_a_proxy_is_used(authority: Authority):
    lines: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readline())
        writer.write(b"HTTP/1.1 502 no\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    async with server:
        through = config("https://east.example:6443", authority, token="t")
        through["clusters"][1]["cluster"]["proxy-url"] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(KubeError):
            await ask(await loaded(through))
    assert lines == [b"CONNECT east.example:6443 HTTP/1.1\r\n"]


async def test_a_credential_that_was_replaced_is_not_mixed_with_the_old_one(authority: Authority):
    async with serving(authority) as (url, asked):
        for name in ("first", "second", "first"):
            pair = authority.client(name, name)
            await ask(await loaded(config(url, authority, **certificate(pair))))
    assert [each["certificate"] for each in asked] == [["first"], ["second"], ["first"]]


COMMAND = {"apiVersion": "client.authentication.k8s.io/v1", "command": "/nowhere/aws", "args": [SECRET]}
DANGERS = [
    ("users", {"exec": COMMAND}, "Exec", 'users[1].user.exec: the user "robot" runs a command ("/nowhere/aws")'),
    ("users", {"auth-provider": {"name": "unheard-of"}}, "Exec", "users[1].user.auth-provider: "),
    ("users", {"token": "", "tokenFile": "/etc/passwd"}, "Files", "users[1].user.tokenFile: "),
    ("users", {"client-certificate": "/a", "client-key-data": "eA=="}, "Files", "users[1].user.client-certificate: "),
    ("users", {"client-key": "/a", "client-certificate-data": "eA=="}, "Files", "users[1].user.client-key: "),
    ("clusters", {"certificate-authority": "/a"}, "Files", "clusters[1].cluster.certificate-authority: "),
    ("clusters", {"insecure-skip-tls-verify": True}, "InsecureTLS", "clusters[1].cluster.insecure-skip-tls-verify: "),
    ("clusters", {"server": "HTTP://east"}, "InsecureTLS", "clusters[1].cluster.server: "),
]


@pytest.mark.parametrize("part, fields, allow, told", DANGERS)
async def test_what_is_dangerous_is_refused_unless_an_admin_allowed_it(
    authority: Authority, part: str, fields: Config, allow: str, told: str
):
    what = config("https://east", authority, token=SECRET)
    what[part][1][part[:-1]].update(fields)
    others = [each for each in ALL if each != allow]
    refused = await why(what, *others)
    assert told in refused and f"have an admin set spec.access.allow: [{allow}]" in refused
    try:
        await loaded(what, allow)
    except AccessRefused as later:  # the next obstacle
        assert "spec.access.allow" not in str(later)


WRONG = [
    ("clusters", {"server": None}, "clusters[1].cluster.server: there is none"),
    ("clusters", {"server": "east:6443"}, "clusters[1].cluster.server: must be https://HOST:PORT"),
    ("clusters", {"server": f"https://me:{SECRET}@east"}, "clusters[1].cluster.server: must be"),
    ("clusters", {"server": "https://east\\@west"}, "clusters[1].cluster.server: must be"),
    ("clusters", {"server": "https://east:99999"}, "clusters[1].cluster.server: must be"),
    ("clusters", {"server": "https://[::1::]"}, "clusters[1].cluster.server: must be"),
    ("clusters", {"server": f"https://east?token={SECRET}"}, "clusters[1].cluster.server: must be"),
    ("clusters", {"server": ["https://east"]}, "clusters[1].cluster.server: must be text"),
    ("clusters", {"proxy-url": "socks5://proxy"}, "clusters[1].cluster.proxy-url: must be http(s)://HOST:PORT"),
    ("clusters", {"proxy-url": f"http://me:{SECRET}@proxy"}, "clusters[1].cluster.proxy-url: must be"),
    ("clusters", {"tls-server-name": "a b"}, "clusters[1].cluster.tls-server-name: must be a host name"),
    ("clusters", {"insecure-skip-tls-verify": "no!"}, "clusters[1].cluster.insecure-skip-tls-verify: must be true or"),
    (
        "clusters",
        {"certificate-authority-data": SECRET},
        "clusters[1].cluster.certificate-authority-data: is not base64",
    ),
    (
        "clusters",
        {"certificate-authority-data": "eA=="},
        "clusters[1].cluster.certificate-authority-data: holds no cer",
    ),
    ("clusters", {"certificate-authority-data": "gIA="}, "clusters[1].cluster.certificate-authority-data: is not PEM"),
    ("users", {"token": f"{SECRET} {SECRET}"}, "users[1].user.token: holds spaces"),
    ("users", {"token": f"{SECRET}\nX: y"}, "users[1].user.token: holds spaces"),
    ("users", {"token": {SECRET: SECRET}}, "users[1].user.token: must be text"),
    ("users", {"token": ""}, "users[1].user: no credentials"),
    ("users", {"client-key-data": "eA=="}, "users[1].user.client-certificate-data: there is none"),
    ("users", {"client-certificate-data": "eA=="}, "users[1].user.client-key-data: there is none"),
    (
        "users",
        {"client-certificate-data": "eA==", "client-key-data": "eA=="},
        "users[1].user: the client certificate and its key cannot be read",
    ),
    ("users", {"as": "admin"}, "users[1].user.as: acting as somebody else"),
    ("users", {"as-groups": ["system:masters"]}, "users[1].user.as-groups: acting as somebody else"),
    ("users", {"exec": "aws"}, "users[1].user.exec: must be a mapping"),
]


@pytest.mark.parametrize("part, fields, told", WRONG)
async def test_what_is_wrong_is_named(authority: Authority, part: str, fields: Config, told: str):
    what = config("https://east", authority, token=SECRET)
    what[part][1][part[:-1]].update(fields)
    assert (await why(what, *ALL)).startswith(told)


async def test_files_must_be_there_and_their_paths_absolute(authority: Authority, tmp_path: Path):
    relative = config("https://east", authority, tokenFile="token")
    assert "users[1].user.tokenFile: must be an absolute path" in await why(relative, "Files")
    missing = config("https://east", authority, tokenFile=str(tmp_path / "token"))
    assert "users[1].user.tokenFile: cannot be read (FileNotFoundError)" in await why(missing, "Files")
    lost = config("https://east", authority, **{"client-certificate": "/nowhere/a", "client-key": "/nowhere/b"})
    assert "users[1].user: the client certificate and its key cannot be read" in await why(lost, "Files")


async def test_a_plugin_must_give_a_token(authority: Authority):
    silent = config("https://east", authority, **{"auth-provider": {"name": "unheard-of"}})
    assert "users[1].user.auth-provider: gives no token" in await why(silent, "Exec")
    provider = {"name": "oidc", "config": {"id-token": "a.e30.c"}}
    known = await loaded(config("https://east", authority, **{"auth-provider": provider}), "Exec")
    assert known.api_key["BearerToken"] == "Bearer a.e30.c"


async def test_certificates_may_be_files_where_that_is_allowed(authority: Authority, client: Pair):
    async with serving(authority) as (url, asked):
        files = {"client-certificate": str(client.certificate), "client-key": str(client.key)}
        what = config(url, authority, **files)
        del what["clusters"][1]["cluster"]["certificate-authority-data"]
        what["clusters"][1]["cluster"]["certificate-authority"] = str(authority.pair.certificate)
        assert await ask(await loaded(what, "Files")) == "u-1"
    assert asked[0]["certificate"] == ["operator"]


async def test_keys_with_a_password_and_of_others_are_refused_without_asking(authority: Authority, client: Pair):
    key = load_pem_private_key(client.key.read_bytes(), None)
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(SECRET.encode()))
    user = certificate(client) | {"client-key-data": base64.b64encode(sealed).decode()}
    assert "the key has a password" in await why(config("https://east", authority, **user))
    user["client-key-data"] = encoded(authority.client("other", "other").key)
    assert "the key is another certificate's" in await why(config("https://east", authority, **user))


async def test_the_current_context_counts_or_the_only_one(authority: Authority):
    what = config("https://east", authority, token="t")
    assert (await loaded(what)).host == "https://east"
    del what["current-context"]
    assert "current-context: there is none, and 2 contexts" in await why(what)
    what["contexts"].pop(0)
    assert (await loaded(what)).host == "https://east"
    what["contexts"][0]["context"]["user"] = "nobody"
    assert 'contexts[0].context.user: none of users is named "nobody"' in await why(what)
    what["contexts"][0]["context"]["user"] = "robot"
    what["users"].append(copy.deepcopy(what["users"][1]))
    assert 'users[2].name: "robot" is there twice' in await why(what)


@pytest.mark.parametrize(
    "text, told",
    [
        ("", "is no mapping"),
        ("[]", "is no mapping"),
        (f"a: [{SECRET}", "line 1, column"),
        (f"a: !{SECRET} b", "line 1: tags"),
        (f"a: &{SECRET} b\nc: *{SECRET}", "line 2: aliases"),
        ("a: b\n---\na: b", "more than one document"),
        (b"\xff\xfe\xff", "not text in UTF-8"),
        ("a: " + "[" * 1000, "below 32 levels"),
        ("a: [" + "b," * 20_000 + "]", "after 10000"),
        ("a: " + "b" * 300_000, "longer than 256 KiB"),
    ],
)
async def test_texts_that_cannot_be_read(text: str | bytes, told: str):
    assert told in await why(text)


def test_what_looks_like_a_number_or_a_merge_stays_text():
    read = plainyaml.read("a: 0123\nb: 1:59:59\nc: 2024-01-01\nd: ~\ne: yes\n<<: {f: 1e9}")
    assert read == {"a": "0123", "b": "1:59:59", "c": "2024-01-01", "d": None, "e": True, "<<": {"f": "1e9"}}


async def test_a_command_that_is_allowed_logs_in(authority: Authority, client: Pair):
    async with serving(authority) as (url, asked):
        told = plugin(
            "import json, os, sys",
            "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])",
            "assert info['spec'] == {'interactive': False} and sys.stdin.read() == '' and os.environ['A'] == 'b'",
            f"print({answering(token='of-a-command')!r})",
        )
        told["exec"]["env"] = [{"name": "A", "value": "b"}]
        assert await ask(await loaded(config(url, authority, **told), "Exec")) == "u-1"
        pair = {"clientCertificateData": client.certificate.read_text(), "clientKeyData": client.key.read_text()}
        both = plugin(f"print({answering(**pair)!r})")
        assert await ask(await loaded(config(url, authority, **both), "Exec")) == "u-1"
    assert asked == [
        {"certificate": [], "authorization": "Bearer of-a-command"},
        {"certificate": ["operator"], "authorization": None},
    ]


@pytest.mark.parametrize(
    "program, told",
    [
        (f"import sys; sys.exit('{SECRET}')", "ended with exit code 1"),
        (f"print('{SECRET}')", "its answer is not JSON"),
        (f"print('[\"{SECRET}\"]')", "no ExecCredential"),
        (f"print({answering()!r})", "neither a token nor a certificate"),
        (f"print({answering(token=f'{SECRET} x')!r})", "users[1].user.exec: holds spaces"),
        (f"print({answering(token='t', expirationTimestamp=SECRET)!r})", "no time"),
        (
            f"print({answering(clientCertificateData=chr(0xD800), clientKeyData='x')!r})",
            "cannot be read (it is no PEM)",
        ),
        ("print('x' * 2_000_000)", "too long"),
    ],
)
async def test_a_command_that_fails_is_told_of(authority: Authority, program: str, told: str):
    assert told in await why(config("https://east", authority, **plugin(program)), "Exec")


async def test_a_command_that_hangs_is_ended_with_all_that_it_started(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("inferops.kube.access.PLUGIN_TIMEOUT", 0.5)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    program = f"import os, time; os.fork(); os.open({str(pipe)!r}, os.O_WRONLY); time.sleep(600)"
    try:
        assert "did not end within 0.5 s" in await why(config("https://east", authority, **plugin(program)), "Exec")
        os.set_blocking(end, True)
        assert os.read(end, 1) == b""  # nobody has it open any more
    finally:
        os.close(end)


async def test_a_token_of_a_file_is_read_again(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "token"
    file.write_text("first\n")
    monkeypatch.setattr("inferops.kube.access.FILE_RENEWED", 0.0)
    monkeypatch.setattr("inferops.kube.access.AGAIN", 0.0)
    configuration = await loaded(config("https://east", authority, tokenFile=str(file)), "Files")
    assert await configuration.get_api_key_with_prefix("BearerToken") == "Bearer first"
    file.write_text("second\n")
    assert await configuration.get_api_key_with_prefix("BearerToken") == "Bearer second"


async def test_a_token_is_renewed_once_when_due_and_kept_when_that_fails(caplog: pytest.LogCaptureFixture):
    fetched: list[float] = []
    failing = False

    async def fetch() -> tuple[str, float]:
        fetched.append(at)
        await asyncio.sleep(0)
        if failing:
            raise AccessRefused("users[0].user.exec: no")
        return f"token-{len(fetched)}", at + 100

    at = 0.0
    configuration = Configuration()
    configuration.api_key["BearerToken"] = "Bearer old"
    renewal = Renewal(fetch, 50.0, lambda: at)
    await renewal(configuration)
    assert fetched == []
    at = 50.0
    await asyncio.gather(*(renewal(configuration) for _ in range(5)))
    assert fetched == [50.0] and configuration.api_key["BearerToken"] == "Bearer token-1"
    at, failing = 150.0, True
    with caplog.at_level(logging.WARNING):
        await asyncio.gather(*(renewal(configuration) for _ in range(5)))
    assert fetched == [50.0, 150.0] and "stays as it is" in caplog.text
    at, failing = 160.0, False
    await renewal(configuration)
    assert configuration.api_key["BearerToken"] == "Bearer token-3"


async def test_a_command_is_run_again_before_its_token_ends(authority: Authority, tmp_path: Path):
    count = tmp_path / "count"
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 5))
    program = [
        f"n = len(open({str(count)!r}, 'a+').read()); f = open({str(count)!r}, 'a'); f.write('x'); f.close()",
        f"f = open({str(count)!r}); n = len(f.read()); f.close()",
        f"print({answering(token='of-run-N', expirationTimestamp=soon)!r}.replace('N', str(n), 1))",
    ]
    configuration = await loaded(config("https://east", authority, **plugin(*program)), "Exec")
    assert configuration.api_key["BearerToken"] == "Bearer of-run-1"
    assert await configuration.get_api_key_with_prefix("BearerToken") == "Bearer of-run-2"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda deeper: (
        st.lists(deeper, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["name", "user", "exec", "config"]), deeper, max_size=3)
    ),
    max_leaves=8,
)
fuzzed = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


async def tried(text: str | bytes, *allow: str) -> None:
    """It is refused or loaded, and nothing else happens."""
    try:
        assert isinstance(await member_configuration(text, allow), Configuration)
    except AccessRefused as refused:
        assert str(refused).isprintable() and len(str(refused)) < 500


@given(text=st.text() | st.binary() | st.text("{}[]:-,&*!|>'\"%@`?~# \n\tab"))
@fuzzed
def test_any_text_is_refused(text: str | bytes):
    asyncio.run(tried(text))


def fields(node: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all that stands in a config."""
    if path:
        yield path
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from fields(value, (*path, key))


@given(data=st.data())
@fuzzed
def test_nonsense_in_any_field_is_refused_or_does_not_matter(authority: Authority, client: Pair, data: st.DataObject):
    provider = {"name": "oidc", "config": {"id-token": "a.e30.c"}}
    what = config(
        "https://east", authority, **certificate(client), **{"auth-provider": provider}, username="a", password="b"
    )
    what["clusters"][1]["cluster"].update(
        {"insecure-skip-tls-verify": False, "proxy-url": "http://p", "tls-server-name": "a"}
    )
    what = copy.deepcopy(what)
    *path, last = data.draw(st.sampled_from(list(fields(what))))
    node = what
    for key in path:
        node = node[key]
    node[last] = data.draw(anything)
    asyncio.run(tried(yaml.safe_dump(what), *data.draw(st.sampled_from([(), ("Exec",)]))))
