"""The certificates hold against a strict verifier, and the kubeconfigs made of them stand alone."""

from __future__ import annotations

import base64
import ssl
import stat
from pathlib import Path

import pytest
import yaml

from controlplane.certificates import Authority, Pair, make_authority, make_key
from controlplane.kubeconfig import certificate_user, token_user, write_kubeconfig


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make_authority(tmp_path, "ca")


def handshake(trusted: Path, server: Pair, client: Pair, host: str) -> dict[str, object]:
    """A TLS handshake in memory with client certificates, verified strictly; returns what the server saw."""
    strict = ssl.VERIFY_X509_STRICT
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    calling = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    serving.verify_mode = ssl.CERT_REQUIRED
    for context, pair in ((serving, server), (calling, client)):
        context.load_cert_chain(pair.certificate, pair.key)
        context.load_verify_locations(trusted)
        context.verify_flags |= strict
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = serving.wrap_bio(up, down, server_side=True)
    ours = calling.wrap_bio(down, up, server_hostname=host)
    for end in (ours, theirs, ours, theirs):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    seen = theirs.getpeercert()
    assert seen is not None
    return seen


def test_client_and_server_know_each_other(authority: Authority):
    server = authority.serving("serving", ["10.244.0.1", "kubernetes.default.svc"])
    client = authority.client("node", "system:node:one", ["system:nodes", "others"])
    for host in ("10.244.0.1", "kubernetes.default.svc"):
        seen = handshake(authority.pair.certificate, server, client, host)
        assert seen["subject"] == (
            (("organizationName", "system:nodes"),),
            (("organizationName", "others"),),
            (("commonName", "system:node:one"),),
        )


def test_another_host_another_authority_and_another_usage_are_refused(authority: Authority, tmp_path: Path):
    ca, server = authority.pair.certificate, authority.serving("serving", ["10.244.0.1"])
    client = authority.client("client", "somebody")
    other = tmp_path / "other"
    other.mkdir()
    stranger = make_authority(other, "ca").client("client", "somebody")
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        handshake(ca, server, client, "10.244.0.2")
    with pytest.raises(ssl.SSLError, match="certificate verify failed"):
        handshake(ca, server, stranger, "10.244.0.1")
    with pytest.raises(ssl.SSLError, match="certificate verify failed"):
        handshake(ca, client, client, "10.244.0.1")


def test_only_this_user_reads_the_keys(authority: Authority, tmp_path: Path):
    files = [authority.client("client", "somebody").key, authority.pair.key, make_key(tmp_path / "tokens.key")]
    files.append(write_kubeconfig(tmp_path / "config", "hub", "https://x", authority.pair.certificate, token_user("t")))
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 4


def test_a_kubeconfig_names_no_file(authority: Authority, tmp_path: Path):
    pair, ca = authority.client("admin", "admin"), authority.pair.certificate
    file = write_kubeconfig(tmp_path / "admin.kubeconfig", "hub", "https://10.244.0.1:6443", ca, certificate_user(pair))
    assert str(tmp_path) not in file.read_text()
    config = yaml.safe_load(file.read_text())
    context = next(entry["context"] for entry in config["contexts"] if entry["name"] == config["current-context"])
    (cluster,), (user,) = config["clusters"], config["users"]
    assert context == {"cluster": cluster["name"], "user": user["name"], "namespace": "default"}
    assert cluster["cluster"]["server"] == "https://10.244.0.1:6443"
    assert base64.b64decode(cluster["cluster"]["certificate-authority-data"]) == ca.read_bytes()
    assert base64.b64decode(user["user"]["client-key-data"]) == pair.key.read_bytes()


def test_kubeconfigs_of_two_clusters_can_be_merged(authority: Authority, tmp_path: Path):
    names: list[str] = []
    for cluster in ("hub", "member-1"):
        tmp_path.joinpath(cluster).mkdir()
        file = tmp_path / cluster / "admin.kubeconfig"
        write_kubeconfig(file, cluster, "https://x", authority.pair.certificate, token_user("t"))
        config = yaml.safe_load(file.read_text())
        names += [entry["name"] for part in ("clusters", "users") for entry in config[part]]
    assert len(names) == len(set(names))
