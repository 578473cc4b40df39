"""The API keys of each service, from the one Secret that it names: read once, remembered, read again in a while.

It fails closed: a Secret that is gone, or that the gateway may not read any more, lets nobody in. Only where the API
server does not answer do the keys that are known go on being good.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from inferops.gateway.access.keys import Keys
from inferops.gateway.sources.files import secret_data
from inferops.kube.client import KubeError
from inferops.kube.kinds import SECRET, Kind
from inferops.kube.owned import Object

log = logging.getLogger(__name__)

REFRESH = 30.0  # seconds after which a Secret is read again, while requests go on by what is known
STALE = 90.0  # seconds after which requests wait for that: nobody asked meanwhile
RETRY = 2.0  # seconds after a failure
MOST_KEYS = 1000
MOST_BYTES = 2**20  # of a Secret, as the API has it
ROLE = "inferops-gateway-keys"
ACCOUNT = "inferops-system:inferops-gateway"


class KeysUnavailable(Exception):
    """No API key of a service can be judged, so all are refused. The message says why, and what to do."""


class Secrets(Protocol):
    """Where Secrets are read."""

    async def secret(self, namespace: str, name: str) -> Mapping[str, bytes | str] | None:
        """What a Secret holds, None where there is none. Raises KubeError."""


class Getting(Protocol):
    """What is asked of a cluster here."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None: ...


class KubeSecrets:
    """The Secrets of a cluster, one GET each: the gateway has no right to list or watch them."""

    def __init__(self, kube: Getting) -> None:
        self._kube = kube

    async def secret(self, namespace: str, name: str) -> Mapping[str, bytes | str] | None:
        raw = await self._kube.get(SECRET, namespace, name)
        return secret_data(raw) if raw is not None else None


@dataclass(slots=True)
class _Entry:
    """What is known of one Secret."""

    keys: Keys | None = None
    why: str = ""  # there are no keys
    tried: float = 0.0
    reading: asyncio.Task[None] | None = None


class Keyring:
    """The keys of all services, read when they are first asked for."""

    def __init__(self, secrets: Secrets, clock: Callable[[], float], account: str = ACCOUNT) -> None:
        """`clock` tells monotonic seconds; `account`: NAMESPACE:NAME of the gateway's ServiceAccount, for messages."""
        self._secrets, self._clock, self._account = secrets, clock, account
        self._entries: dict[tuple[str, str], _Entry] = {}

    async def keys(self, namespace: str, secret: str) -> Keys:
        """The keys in a Secret. Raises KeysUnavailable."""
        entry = self._entries.get((namespace, secret))
        if entry is None:
            entry = self._entries[namespace, secret] = _Entry()
            await self._read(namespace, secret, entry)
        age = self._clock() - entry.tried
        if entry.keys is None and (entry.reading is not None or age >= RETRY):
            await self._read(namespace, secret, entry)
        elif age >= REFRESH:
            reading = self._read(namespace, secret, entry)
            if age >= STALE:
                await reading
        if entry.keys is None:
            raise KeysUnavailable(entry.why)
        return entry.keys

    async def close(self) -> None:
        """End what is under way."""
        reading = [entry.reading for entry in self._entries.values() if entry.reading is not None]
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    def _read(self, namespace: str, secret: str, entry: _Entry) -> asyncio.Future[None]:
        """Read it in the background, once for all who ask meanwhile."""
        if entry.reading is None:
            entry.reading = asyncio.create_task(self._take_in(namespace, secret, entry))
        return asyncio.shield(entry.reading)

    async def _take_in(self, namespace: str, secret: str, entry: _Entry) -> None:
        before = entry.keys, entry.why
        try:
            keys, why = _judged(await self._secrets.secret(namespace, secret), namespace, secret)
        except KubeError as error:
            keys, why = self._failed(error, entry.keys, namespace, secret)
        finally:
            entry.tried = self._clock()
            entry.reading = None
        entry.keys, entry.why = keys, why
        if why and why != before[1]:
            log.warning("%s", why)
        if keys is not None and keys.problems and keys != before[0]:
            log.warning("Secret %s/%s: left out: %s", namespace, secret, "; ".join(keys.problems[:10]))

    def _failed(self, error: KubeError, known: Keys | None, namespace: str, secret: str) -> tuple[Keys | None, str]:
        if error.status == 403:
            return None, (
                f"the gateway may not read the Secret {namespace}/{secret}: let it by `kubectl create rolebinding "
                f"{ROLE} --namespace={namespace} --clusterrole={ROLE} --serviceaccount={self._account}`"
            )
        return known, f"the Secret {namespace}/{secret} cannot be read now: {error}"


def _judged(data: Mapping[str, bytes | str] | None, namespace: str, secret: str) -> tuple[Keys | None, str]:
    """The keys, or why there are none."""
    if data is None:
        return None, (
            f"there is no Secret {namespace}/{secret}: create it, each key a client's name and its value that client's "
            "API key, or change spec.traffic.access.apiKeysSecret"
        )
    if len(data) > MOST_KEYS or sum(map(len, data.values())) > MOST_BYTES:
        return None, (
            f"the Secret {namespace}/{secret} holds {len(data)} entries: more than {MOST_KEYS}, or than "
            f"{MOST_BYTES >> 20} MiB; put clients together, or split the service"
        )
    return Keys.of(data), ""
