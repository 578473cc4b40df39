"""How the operator reaches a member: a kubeconfig out of a Secret, checked, becomes a configuration of the client.

Keys get into no file, since the operator's file system is read-only and files outlive credentials: TLS is made here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import sys
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kubernetes.aio import config as kube_config
from kubernetes.aio.client import Configuration

from inferops.kube import kubeconfig
from inferops.kube.credentialplugin import Credential, PluginFailed, credential
from inferops.kube.kubeconfig import Access, AccessRefused
from inferops.kube.session import WithTLS, tls_context

__all__ = ["AccessRefused", "configuration_of", "member_configuration"]

log = logging.getLogger(__name__)

AT_ONCE = 16 * 1024  # characters that are read in a few milliseconds; more are read beside the event loop
PLUGIN_TIMEOUT = 10.0  # seconds
FILE_RENEWED = 60.0  # seconds after which a token is read from its file again
EARLY = 60.0  # seconds before its end in which a token is renewed
AGAIN = 10.0  # seconds from a failed renewal to the next
LONGEST_TOKEN = 64 * 1024

Fetch = Callable[[], Awaitable[tuple[str, float]]]  # a token and when to ask again, in Unix seconds


async def member_configuration(text: str | bytes, allow: Collection[str] = ()) -> Configuration:
    """The configuration that a kubeconfig's current context, or its only one, gives.

    `allow`: of Exec, Files and InsecureTLS what it may hold, as in spec.access.allow. Tokens of a command or a file
    renew themselves; a certificate of either is renewed by calling this again. Raises AccessRefused and nothing else.
    """
    if len(text) <= AT_ONCE:
        access = kubeconfig.read(text, allow)
    else:
        access = await asyncio.to_thread(kubeconfig.read, text, allow)
    return await configuration_of(access)


async def configuration_of(access: Access) -> Configuration:
    """The configuration that `access` gives, as `member_configuration` says."""
    access, renewal = await _logged_in(access)
    configuration = WithTLS()
    await _load(access, configuration)
    configuration.ca_cert_data, configuration.ssl_ca_cert = access.ca or None, access.ca_file or None
    configuration.tls = _tls(configuration, access)
    if renewal is not None:
        configuration.refresh_api_key_hook = renewal  # type: ignore[assignment]
    return configuration


async def _logged_in(access: Access) -> tuple[Access, Renewal | None]:
    """With the credentials that a command or a file gives, and how these are renewed."""
    if access.command:
        found = await _credential(access)
        if found.token:
            token, due = _token(access, found)
            access = replace(access, token=token)
        if found.certificate:
            certificate, key = (each.encode(errors="replace") for each in (found.certificate, found.key))
            access = replace(access, certificate=certificate, key=key)
        if not found.token or found.expires is None:
            return access, None

        async def fetch() -> tuple[str, float]:
            return _token(access, await _credential(access))

        return access, Renewal(fetch, due)
    if access.token_file:

        async def fetch() -> tuple[str, float]:
            return await asyncio.to_thread(_token_of_file, access), time.time() + FILE_RENEWED

        token, due = await fetch()
        return replace(access, token=token), Renewal(fetch, due)
    return access, None


async def _credential(access: Access) -> Credential:
    try:
        return await credential(access.command, _info(access), PLUGIN_TIMEOUT)
    except PluginFailed as failed:
        command = kubeconfig.shown(access.command.get("command"))
        raise AccessRefused(f"{access.user}.exec: the command {command} gives no credentials: {failed}") from None


def _info(access: Access) -> dict[str, Any]:
    """What a command is told of the cluster, as client.authentication.k8s.io has it."""
    optional = {
        "tls-server-name": access.server_name,
        "proxy-url": access.proxy,
        "certificate-authority-data": b64encode(access.ca.encode()).decode(),
        "config": access.config,
    }
    info = {"server": access.server, "insecure-skip-tls-verify": not access.verify}
    return info | {name: value for name, value in optional.items() if value}


def _token(access: Access, found: Credential) -> tuple[str, float]:
    due = found.expires - EARLY if found.expires is not None else float("inf")
    return kubeconfig.token(found.token, f"{access.user}.exec"), due


def _token_of_file(access: Access) -> str:
    where = f"{access.user}.tokenFile"
    try:
        with Path(access.token_file).open() as file:
            found = kubeconfig.token(file.read(LONGEST_TOKEN), where)
    except (OSError, ValueError) as error:
        raise AccessRefused(f"{where}: cannot be read ({type(error).__name__}); mount a file with a token") from None
    if not found:
        raise AccessRefused(f"{where}: the file is empty; mount one with a token")
    return found


class Renewal:
    """Keeps a configuration's token fresh: the client calls it before every request."""

    def __init__(self, fetch: Fetch, due: float, now: Callable[[], float] = time.time) -> None:
        self._fetch, self._due, self._now = fetch, due, now
        self._one = asyncio.Lock()

    async def __call__(self, configuration: Configuration) -> None:
        if self._now() < self._due:
            return
        async with self._one:
            now = self._now()
            if now < self._due:  # somebody else did
                return
            self._due = now + AGAIN
            try:
                token, due = await self._fetch()
            except AccessRefused as refused:
                log.warning("the token stays as it is: %s", refused)
                return
            configuration.api_key["BearerToken"] = f"Bearer {token}"
            self._due = max(due, self._due)


async def _load(access: Access, configuration: Configuration) -> None:
    """Through the official loader, of which every error is one of the kubeconfig."""
    cluster: dict[str, Any] = {"server": access.server, "insecure-skip-tls-verify": not access.verify}
    optional = {"tls-server-name": access.server_name, "proxy-url": access.proxy}
    user: dict[str, Any] = {"token": access.token} if access.token else {}
    if access.basic is not None:
        user["username"], user["password"] = access.basic
    if access.provider:
        user["auth-provider"] = access.provider
    name = "member"
    alone = {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": cluster | {key: value for key, value in optional.items() if value}}],
        "users": [{"name": name, "user": user}],
    }
    try:
        async with asyncio.timeout(PLUGIN_TIMEOUT):
            await kube_config.load_kube_config_from_dict(alone, client_configuration=configuration)
    except Exception as error:  # it may come of anything that stands there, and quote it
        what = f"{access.user}.auth-provider" if access.provider else access.user
        raise AccessRefused(f"{what}: cannot be logged in with ({type(error).__name__}); use a token instead") from None
    if access.provider:  # whose token nobody has looked at
        where, given = f"{access.user}.auth-provider", configuration.api_key.get("BearerToken", "")
        if not kubeconfig.token(given.removeprefix("Bearer "), where):
            raise AccessRefused(f"{where}: gives no token; use a token instead")


def _tls(configuration: Configuration, access: Access) -> ssl.SSLContext:
    data, file = f"{access.cluster}.certificate-authority-data", f"{access.cluster}.certificate-authority"
    try:
        context = tls_context(configuration)
    except (OSError, ValueError) as error:
        where = data if access.ca else file
        raise AccessRefused(f"{where}: holds no certificates that can be read ({_why(error)}); give PEM") from None
    if not (access.certificate or access.certificate_file):
        return context
    try:
        with (
            _path(access.certificate, access.certificate_file) as certificate,
            _path(access.key, access.key_file) as key,
        ):
            context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:
        raise AccessRefused(
            f"{access.user}: the client certificate and its key cannot be read ({_why(error)}); "
            "give both as PEM, the key without a password"
        ) from None
    return context


def _no_password() -> str:
    raise ValueError  # else OpenSSL asks for it on the terminal


_WHY = {
    "KEY_VALUES_MISMATCH": "the key is another certificate's",
    "SSLError": "it is no PEM",
    "ValueError": "the key has a password",
}


def _why(error: Exception) -> str:
    name = str(getattr(error, "reason", None) or type(error).__name__)
    return _WHY.get(name, name)


@contextmanager
def _path(content: bytes, file: str) -> Iterator[str]:
    """A path at which OpenSSL, which reads nothing but files, finds the content, or else the file itself."""
    if not content:
        yield file
    elif sys.platform == "linux":
        descriptor = os.memfd_create("pem")  # memory alone
        try:
            with open(descriptor, "wb", closefd=False) as opened:
                opened.write(content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with TemporaryDirectory() as folder:  # for us alone
            path = Path(folder, "pem")
            path.write_bytes(content)
            yield str(path)
