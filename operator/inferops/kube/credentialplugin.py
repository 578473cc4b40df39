"""Runs the command by which a user of a kubeconfig logs in (client.authentication.k8s.io), for ten seconds at most.

Its own messages go where the operator's go, not into ours: nobody knows what they hold.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

GROUP = "client.authentication.k8s.io"
VERSIONS = (f"{GROUP}/v1", f"{GROUP}/v1beta1")
LIMIT = 10.0  # seconds
LONGEST = 1024 * 1024  # bytes of its answer


class PluginFailed(Exception):
    """Why there are no credentials, without secrets."""


@dataclass(frozen=True, slots=True)
class Credential:
    """With what to log in, and until when."""

    token: str = field(default="", repr=False)
    certificate: str = ""  # PEM, as is the key
    key: str = field(default="", repr=False)
    expires: float | None = None  # Unix seconds


async def credential(plugin: Mapping[str, Any], cluster: Mapping[str, Any], limit: float = LIMIT) -> Credential:
    """What the command of an `exec` section answers. `cluster`: told to it if it asks to. Raises PluginFailed."""
    version, command, arguments = plugin.get("apiVersion"), plugin.get("command"), plugin.get("args") or []
    if version not in VERSIONS:
        raise PluginFailed(f"apiVersion must be one of {', '.join(VERSIONS)}")
    if not isinstance(command, str) or not command:
        raise PluginFailed("command must name a program")
    if not isinstance(arguments, list) or not all(isinstance(each, str) for each in arguments):
        raise PluginFailed("args must be a list of texts")
    if plugin.get("interactiveMode") == "Always":
        raise PluginFailed("it needs a terminal (interactiveMode: Always), and there is none")
    spec: dict[str, Any] = {"interactive": False}
    if plugin.get("provideClusterInfo") is True:
        spec["cluster"] = dict(cluster)
    told = json.dumps({"apiVersion": version, "kind": "ExecCredential", "spec": spec})
    environment = {**os.environ, **_environment(plugin), "KUBERNETES_EXEC_INFO": told}
    return _credential(await _run([command, *arguments], environment, limit), version)


def _environment(plugin: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    entries = plugin.get("env") or []
    for each in entries if isinstance(entries, list) else [None]:
        name, value = (each.get("name"), each.get("value")) if isinstance(each, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(value, str) or not name or "=" in name:
            raise PluginFailed("env must be a list of names and values, both texts")
        found[name] = value
    return found


async def _run(command: list[str], environment: Mapping[str, str], limit: float) -> bytes:
    """What it writes to its standard output."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdin=DEVNULL, stdout=PIPE, start_new_session=True
        )
    except (OSError, ValueError) as error:
        raise PluginFailed(f"it cannot be started ({type(error).__name__}); is it in the operator's image?") from None
    try:
        async with asyncio.timeout(limit):
            output = await _output(process)
            code = await process.wait()
    except TimeoutError:
        raise PluginFailed(f"it did not end within {limit:g} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with what it started; its session is its own
            await process.wait()
    if code != 0:
        raise PluginFailed(f"it ended with exit code {code}; the operator's log has what it said")
    return output


async def _output(process: Process) -> bytes:
    assert process.stdout is not None
    try:
        await process.stdout.readexactly(LONGEST)
    except asyncio.IncompleteReadError as ended:
        return ended.partial
    raise PluginFailed("its answer is too long")


def _credential(answer: bytes, version: str) -> Credential:
    try:
        parsed = json.loads(answer)
    except (ValueError, RecursionError):
        raise PluginFailed("its answer is not JSON") from None
    status = parsed.get("status") if isinstance(parsed, dict) else None
    if not isinstance(status, dict) or parsed.get("kind") != "ExecCredential" or parsed.get("apiVersion") != version:
        raise PluginFailed(f"its answer is no ExecCredential of {version} with a status")
    names = ("token", "clientCertificateData", "clientKeyData", "expirationTimestamp")
    texts = [status.get(name) or "" for name in names]
    if not all(isinstance(each, str) for each in texts):
        raise PluginFailed(f"its answer holds no text in one of {', '.join(names)}")
    token, certificate, key, expires = texts
    if bool(certificate) != bool(key) or not (token or certificate):
        raise PluginFailed("its answer holds neither a token nor a certificate with its key")
    try:
        until = datetime.fromisoformat(expires).timestamp() if expires else None
    except (ValueError, OverflowError):
        raise PluginFailed("the expirationTimestamp in its answer is no time") from None
    return Credential(token, certificate, key, until)
