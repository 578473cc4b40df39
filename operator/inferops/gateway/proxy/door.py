"""Who may send a request, by API key, and whether the client's limits allow it."""

from __future__ import annotations

import logging

from aiohttp import web

from inferops.gateway.access.keyring import Keyring, KeysUnavailable
from inferops.gateway.access.limits import Limiter
from inferops.gateway.balance.fleet import Fleet
from inferops.gateway.proxy.call import Call
from inferops.gateway.proxy.errors import RATE_LIMIT, UNAVAILABLE, ApiError, unauthorized
from inferops.gateway.table import Backend

log = logging.getLogger(__name__)

BEARER = "bearer "


class Door:
    """Lets requests in, or not."""

    def __init__(self, fleet: Fleet, keyring: Keyring, limiter: Limiter) -> None:
        self._fleet = fleet
        self._keyring = keyring
        self._limiter = limiter

    async def admit(self, call: Call, backend: Backend) -> None:
        """Judge and count a request; `call.headers` gets what is left of the limits. Raises `ApiError`."""
        access = backend.access
        if access is None:
            return
        client = await self._client(presented(call.request), backend)
        call.record.client = client
        verdict = self._limiter.admit(backend.key, client, access.limits_of(client), self._fleet.peers)
        call.headers = verdict.headers
        if not verdict.allowed:
            raise ApiError(
                429,
                RATE_LIMIT,
                f"{client} has used up its requests or tokens a minute; slow down, or ask for more",
                code="rate_limit_exceeded",
                retry_after=verdict.retry_after,
            )

    async def may_list(self, key: str, backend: Backend) -> bool:
        """Whether a caller with this API key may know of the service."""
        if backend.access is None:
            return True
        if not key:
            return False
        try:
            keys = await self._keyring.keys(backend.key.namespace, backend.access.secret)
        except KeysUnavailable:
            return False
        return keys.client(key) is not None

    def spend(self, call: Call) -> None:
        """Pay for the tokens of a request that has ended. Where its stream broke off, an event counts for a token."""
        record = call.record
        if not record.client or record.key is None:
            return
        counted = (record.tokens_in or 0) + (record.tokens_out or 0)
        if tokens := counted or call.events:
            self._limiter.spend(record.key, record.client, tokens)

    async def _client(self, key: str, backend: Backend) -> str:
        assert backend.access is not None
        if not key:
            raise unauthorized("no API key was sent; add the header `Authorization: Bearer KEY`")
        try:
            keys = await self._keyring.keys(backend.key.namespace, backend.access.secret)
        except KeysUnavailable:  # whose message is for those who run the service, and in the log
            raise ApiError(
                503,
                UNAVAILABLE,
                "the API keys of this service cannot be checked now; try again, or ask those who run it",
                code="keys_unavailable",
                retry_after=5,
            ) from None
        client = keys.client(key)
        if client is None:
            raise unauthorized("the API key is not one of this service's; ask those who run it for one")
        return client


def presented(request: web.BaseRequest) -> str:
    """The API key that a request brings; empty: none."""
    authorization = request.headers.get("Authorization", "")
    if authorization[: len(BEARER)].lower() == BEARER:
        return authorization[len(BEARER) :].strip()
    return request.headers.get("X-Api-Key", "").strip()
