"""What a kubeconfig gives access to, if it may: the cluster and the user of its context, every field of them checked.

Whoever wrote it is not trusted: commands, files and servers without a checked certificate count only where an admin
allowed them. Messages name fields and never hold what stands in them, except for names and commands.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Any

from inferops.kube import plainyaml

_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*))"
_URL = re.compile(rf"(https?)://({_HOST})(?::(\d{{1,5}}))?((?:/[A-Za-z0-9._~%:+,=@!$&'()*;-]*)*)", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*)")
_TOKEN = re.compile(r"[\x21-\x7e]+")  # what fits into a header
_SHOWN = 60  # characters of a name in a message
FOR_PLUGINS = "client.authentication.k8s.io/exec"  # the extension that exec plugins are told
_AS = ("as", "as-uid", "as-groups", "as-user-extra")

Fields = dict[str, Any]


class AccessRefused(Exception):
    """Why a kubeconfig, or what stands for one, is not used: the place of the field inside of it, what is wrong with it
    and the remedy, without secrets."""


@dataclass(frozen=True, slots=True)
class Access:
    """A cluster and how to log in to it. Empty is what was not given."""

    server: str
    cluster: str  # the fields' place in the kubeconfig: clusters[0].cluster
    user: str  # users[0].user
    verify: bool = True
    server_name: str = ""  # that the server's certificate must be for, instead of its host
    proxy: str = ""
    ca: str = ""  # PEM
    ca_file: str = ""
    certificate: bytes = b""  # PEM, as is the key
    key: bytes = field(default=b"", repr=False)
    certificate_file: str = ""
    key_file: str = ""
    token: str = field(default="", repr=False)
    token_file: str = ""
    basic: tuple[str, str] | None = field(default=None, repr=False)  # name and password
    command: Fields = field(default_factory=dict, repr=False)  # an exec plugin
    provider: Fields = field(default_factory=dict, repr=False)  # an auth-provider plugin
    config: Any = None  # of the cluster, which the exec plugin is told


def read(text: str | bytes, allow: Collection[str] = ()) -> Access:
    """What the current context gives access to. `allow`: Exec, Files, InsecureTLS. Raises AccessRefused."""
    try:
        config = plainyaml.read(text)
    except plainyaml.NotPlain as error:
        raise AccessRefused(f"text cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise AccessRefused("text is no mapping with clusters, users and contexts: put a whole kubeconfig there")
    where, context = _context(config)
    cluster_name = _text(context, where, "cluster")
    if not cluster_name:
        raise AccessRefused(f"{where}.cluster: there is none; name one of the kubeconfig's clusters")
    at_cluster, cluster = _entry(config, "clusters", "cluster", cluster_name, f"{where}.cluster")
    user_name = _text(context, where, "user")
    if not user_name:
        raise AccessRefused(f"{where}.user: there is none; name one of the kubeconfig's users")
    at_user, user = _entry(config, "users", "user", user_name, f"{where}.user")
    there = reached(cluster, at_cluster, allow)
    return Access(cluster=at_cluster, user=at_user, **there, **_login(user, at_user, user_name, there, allow))


def _context(config: Fields) -> tuple[str, Fields]:
    """The current context or the only one, and its place."""
    name = _text(config, "", "current-context")
    if not name:
        contexts = _list(config, "contexts")
        if len(contexts) != 1:
            raise AccessRefused(f"current-context: there is none, and {len(contexts)} contexts; name one of them")
        only = contexts[0]
        name = _text(only, "contexts[0]", "name") if isinstance(only, dict) else ""
    return _entry(config, "contexts", "context", name, "current-context")


def _entry(config: Fields, plural: str, singular: str, name: str, asked: str) -> tuple[str, Fields]:
    """The place and the fields of what has this name. `asked`: the field that holds the name."""
    found = [
        (f"{plural}[{at}]", each)
        for at, each in enumerate(_list(config, plural))
        if isinstance(each, dict) and each.get("name") == name
    ]
    if not found:
        raise AccessRefused(f"{asked}: none of {plural} is named {shown(name)}; name one that is there")
    if len(found) > 1:
        raise AccessRefused(f"{found[1][0]}.name: {shown(name)} is there twice; remove one of them")
    where, entry = found[0]
    return f"{where}.{singular}", _mapping(entry, where, singular)


def reached(cluster: Fields, where: str, allow: Collection[str]) -> Fields:
    """Where the server is and how it is known, as fields of Access. Raises AccessRefused."""
    server = _url(cluster, where, "server", "https://HOST:PORT")
    if not server:
        raise AccessRefused(f"{where}.server: there is none; give https://HOST:PORT")
    insecure = cluster.get("insecure-skip-tls-verify") or False
    if not isinstance(insecure, bool):
        raise AccessRefused(f"{where}.insecure-skip-tls-verify: must be true or false")
    if insecure:
        _permit("InsecureTLS", allow, f"{where}.insecure-skip-tls-verify", "nobody would check who answers", _CA)
    if server.startswith("http:"):
        _permit("InsecureTLS", allow, f"{where}.server", "it is http, which anybody in between reads", "use https")
    name = _text(cluster, where, "tls-server-name")
    if name and not _NAME.fullmatch(name):
        raise AccessRefused(f"{where}.tls-server-name: must be a host name")
    proxy = _url(cluster, where, "proxy-url", "http(s)://HOST:PORT")
    return {
        "server": server,
        "verify": not insecure,
        "server_name": name,
        "proxy": proxy,
        "ca": _ca(cluster, where),
        "ca_file": _file(cluster, where, "certificate-authority", allow, _CA),
        "config": extension(cluster, FOR_PLUGINS),
    }


def extension(cluster: Mapping[str, Any], name: str) -> Any:
    """What the cluster's extension of that name holds; None: there is none."""
    entries = cluster.get("extensions")
    named = (each for each in (entries if isinstance(entries, list) else ()) if isinstance(each, dict))
    return next((each.get("extension") for each in named if each.get("name") == name), None)


_CA = "give the authority in certificate-authority-data"


def _login(user: Fields, where: str, name: str, reached: Fields, allow: Collection[str]) -> Fields:
    """With what to log in."""
    acting = next((each for each in _AS if user.get(each)), None)
    if acting:
        raise AccessRefused(f"{where}.{acting}: acting as somebody else is not supported; give that user's credentials")
    command, provider = _mapping(user, where, "exec"), _mapping(user, where, "auth-provider")
    if command:
        what = f"the user {shown(name)} runs a command ({shown(command.get('command'))}) with the operator's rights"
        _permit("Exec", allow, f"{where}.exec", what, _INSTEAD)
    if provider:
        what = f"the user {shown(name)} logs in by a plugin, which acts with the operator's rights"
        _permit("Exec", allow, f"{where}.auth-provider", what, _INSTEAD)
    name_, password = _text(user, where, "username"), _text(user, where, "password")
    found: Fields = {
        "certificate": _decoded(user, where, "client-certificate-data"),
        "key": _decoded(user, where, "client-key-data"),
        "certificate_file": _file(user, where, "client-certificate", allow, "give client-certificate-data"),
        "key_file": _file(user, where, "client-key", allow, "give client-key-data"),
        "token": token(_text(user, where, "token"), f"{where}.token"),
        "token_file": _file(user, where, "tokenFile", allow, "give the token itself"),
        "basic": (name_, password) if name_ and password else None,
        "command": command,
        "provider": provider,
    }
    one, two = found["certificate"] or found["certificate_file"], found["key"] or found["key_file"]
    if bool(one) != bool(two):
        lacks = "client-key-data" if one else "client-certificate-data"
        raise AccessRefused(f"{where}.{lacks}: there is none; give the certificate and its key, or neither")
    if not any(found.values()) and reached["server"].startswith("https:"):
        raise AccessRefused(f"{where}: no credentials; {_INSTEAD}")
    return found


_INSTEAD = "use a token, or client-certificate-data and client-key-data"


def token(text: str, where: str) -> str:
    """A token as it fits into a header, or none. Raises AccessRefused."""
    stripped = text.strip()
    if stripped and not _TOKEN.fullmatch(stripped):
        raise AccessRefused(f"{where}: holds spaces or characters that are in no token; give it alone, on one line")
    return stripped


def shown(name: object) -> str:
    """A name as it may stand in a message: short, on one line."""
    text = "".join(each if each.isprintable() else "?" for each in str(name or ""))
    return f'"{text[:_SHOWN]}…"' if len(text) > _SHOWN else f'"{text}"'


def _permit(what: str, allow: Collection[str], where: str, why: str, remedy: str) -> None:
    if what not in allow:
        raise AccessRefused(f"{where}: {why}; {remedy}, or have an admin set spec.access.allow: [{what}]")


def _text(fields: Mapping[str, Any], where: str, name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise AccessRefused(f"{_at(where, name)}: must be text; put it in quotes")
    return value


def _list(fields: Mapping[str, Any], name: str) -> list[Any]:
    value = fields.get(name) or []
    if not isinstance(value, list):
        raise AccessRefused(f"{name}: must be a list, each of it with a name")
    return value


def _mapping(fields: Mapping[str, Any], where: str, name: str) -> Fields:
    value = fields.get(name) or {}
    if not isinstance(value, dict):
        raise AccessRefused(f"{_at(where, name)}: must be a mapping of fields to values")
    return value


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _url(fields: Fields, where: str, name: str, shape: str) -> str:
    """A URL that nobody can read in two ways, its scheme in lower case."""
    value = _text(fields, where, name)
    if not value:
        return ""
    match = _URL.fullmatch(value)
    if match is None or int(match[3] or 1) not in range(1, 65536) or not _is_host(match[2]):
        raise AccessRefused(f"{where}.{name}: must be {shape}, without user, password, query and fragment")
    return match[1].lower() + value[len(match[1]) :].rstrip("/")


def _is_host(host: str) -> bool:
    if not host.startswith("["):
        return True
    try:
        IPv6Address(host[1:-1])
    except ValueError:
        return False
    return True


def _file(fields: Fields, where: str, name: str, allow: Collection[str], remedy: str) -> str:
    value = _text(fields, where, name)
    if not value:
        return ""
    _permit("Files", allow, f"{where}.{name}", "it is a file, which the operator would read with its rights", remedy)
    if not value.startswith("/") or not value.isprintable():
        raise AccessRefused(f"{where}.{name}: must be an absolute path in the operator's container")
    return value


def _decoded(fields: Fields, where: str, name: str) -> bytes:
    value = _text(fields, where, name)
    try:
        return b64decode("".join(value.split()), validate=True)
    except ValueError:
        raise AccessRefused(f"{where}.{name}: is not base64; encode the PEM file once, all of it") from None


def _ca(cluster: Fields, where: str) -> str:
    try:
        return _decoded(cluster, where, "certificate-authority-data").decode("ascii")
    except UnicodeDecodeError:
        raise AccessRefused(f"{where}.certificate-authority-data: is not PEM; encode the PEM file once") from None
