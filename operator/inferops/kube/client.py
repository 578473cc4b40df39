"""A client for one cluster: six calls with plain dicts, time-outs of its own, and a fence before every write.

Authentication, TLS and contexts come from the official client's configuration; requests go over aiohttp.
Errors carry the verb ("applying Deployment chat/llama-8b"). Nothing is retried here: the queue retries a whole
reconcile, with back-off by key, and a second run of it is harmless.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from kubernetes.aio.client import Configuration

from inferops.kube import answers
from inferops.kube.answers import TooLarge
from inferops.kube.kinds import Kind
from inferops.kube.owned import FIELD_MANAGER, Object
from inferops.kube.session import bearer, new_session, user_agent
from inferops.kube.tracing import Span, part

REQUEST_TIMEOUT = 10.0  # seconds
WRITE_TIMEOUT = 4.5  # within the gap between a leader's last write and the next leader's first (kube.lease)
LIST_TIMEOUT = 60.0
CONNECT_TIMEOUT = 3.0
PAGE = 100  # small, since whole objects are large and memory once taken is not given back
PAGE_OF_METADATA = 500
APPLY_TYPE = "application/apply-patch+yaml"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

TOO_LARGE = "TooLarge"  # the reason where an answer is longer than may be
LONGEST_MESSAGE = 4096  # characters

CIRCUIT_OPEN = "CircuitOpen"  # the reason of a request that was not sent, since nobody has answered of late

Observer = Callable[[str, Kind, str], None]  # verb, kind, status code


class KubeError(Exception):
    """The API server refused a request, or did not answer (status 0)."""

    def __init__(self, doing: str, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        reason, message = reason[:LONGEST_MESSAGE], message[:LONGEST_MESSAGE]
        super().__init__(f"{doing}: {status or 'no answer'} {reason}: {message}")
        self.doing = doing
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after  # seconds

    @property
    def final(self) -> bool:
        """Whether the same request would be refused again: the object itself is at fault."""
        return self.status in (400, 403, 404, 405, 413, 422)


class Fenced(Exception):
    """This process may not write: it does not hold the lease (any more)."""


class Reader(Protocol):
    """A cluster of which single objects are read."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None: ...


class Kube(Reader, Protocol):
    """What the operator does to a cluster."""

    def pages(
        self, kind: Kind, selector: str = "", *, namespace: str = "", metadata_only: bool = False
    ) -> AsyncIterator[tuple[list[Object], int]]: ...

    async def create(self, kind: Kind, desired: Object) -> Object: ...

    async def apply(self, kind: Kind, desired: Object, *, force: bool, subresource: str = "") -> Object: ...

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None: ...

    def watch(self, kind: Kind, namespace: str, name: str, timeout: float) -> AsyncIterator[Object]: ...


class _Fenced(aiohttp.BytesPayload):
    """A body that leaves only if this process may write at that very moment.

    From the first look to that moment the event loop turns several times. A process that was frozen in between, such
    as by the migration of a virtual machine, would write when it awakes, though another holds the lease by then.
    """

    def __init__(self, content: bytes, may_write: Callable[[], bool]) -> None:
        super().__init__(content)
        self._may_write = may_write

    async def write(self, writer: AbstractStreamWriter) -> None:
        self._ask()
        await super().write(writer)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self._ask()
        await super().write_with_length(writer, content_length)

    def _ask(self) -> None:
        if not self._may_write():
            raise Fenced("this replica does not hold the lease any more")


class Client:
    """`Kube` over HTTP. `may_write` is asked before each write, and once more when its bytes leave."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        may_write: Callable[[], bool] = lambda: True,
        observer: Observer | None = None,
        timeout: float = REQUEST_TIMEOUT,
        agent: str | None = None,
        dated: Callable[[float], None] | None = None,
    ) -> None:
        """`dated` is told the `Date` of each answer, in Unix seconds."""
        self._configuration = configuration
        self._host = str(configuration.host).rstrip("/")
        self._session = new_session(configuration, {"User-Agent": agent or user_agent()})
        self._observer = observer or (lambda verb, kind, code: None)
        # who answers for a member may be anybody: no answer sends us elsewhere
        self._way: dict[str, Any] = {"server_hostname": configuration.tls_server_name, "allow_redirects": False}
        self._timeout = timeout
        self._dated = dated
        self.may_write = may_write

    async def close(self) -> None:
        await self._session.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object, or None where there is none."""
        try:
            return await self._request("GET", kind, "get", kind.path(namespace, name), f"{namespace}/{name}")
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    async def pages(
        self, kind: Kind, selector: str = "", *, namespace: str = "", metadata_only: bool = False
    ) -> AsyncIterator[tuple[list[Object], int]]:
        """All objects of a kind, page by page, each with the resource version at which all pages are true.

        Pages of objects so large that they cannot be read at once get shorter.
        """
        headers = {"Accept": METADATA_ONLY} if metadata_only else {}
        limit = PAGE_OF_METADATA if metadata_only else PAGE
        params = {"limit": str(limit), **({"labelSelector": selector} if selector else {})}
        path = kind.path(namespace)
        for _ in range(answers.PAGES):
            try:
                answer = await self._request(
                    "GET", kind, "list", path, "all", params=params, headers=headers, timeout=LIST_TIMEOUT
                )
                items, version, following = answers.page(answer)
            except KubeError as error:
                if error.reason != TOO_LARGE or limit == 1:
                    raise
                limit = max(1, limit // 4)
                params["limit"] = str(limit)
                continue
            except ValueError as error:
                raise KubeError(f"list {kind.kind} all", 0, "InvalidAnswer", str(error)) from error
            yield items, version
            if not following:
                return
            params["continue"] = following
        raise KubeError(f"list {kind.kind} all", 0, TOO_LARGE, f"the list has more than {answers.PAGES} pages")

    async def create(self, kind: Kind, desired: Object) -> Object:
        """Create the object; 409 where the name is taken."""
        meta = desired["metadata"]
        namespace, name = meta.get("namespace", ""), meta["name"]
        params = {"fieldManager": FIELD_MANAGER}
        what = f"{namespace}/{name}"
        return await self._write("POST", kind, "create", kind.path(namespace), what, desired, params=params)

    async def apply(self, kind: Kind, desired: Object, *, force: bool, subresource: str = "") -> Object:
        """Server-side apply. Without `force` a field that another manager set otherwise is a conflict (409)."""
        meta = desired["metadata"]
        namespace, name = meta.get("namespace", ""), meta["name"]
        return await self._write(
            "PATCH",
            kind,
            "apply",
            kind.path(namespace, name, subresource),
            f"{namespace}/{name}",
            desired,
            params={"fieldManager": FIELD_MANAGER, "force": "true" if force else "false"},
            headers={"Content-Type": APPLY_TYPE},
        )

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete the object that has this uid, and what it owns in the background. Gone already is fine."""
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await self._write("DELETE", kind, "delete", kind.path(namespace, name), f"{namespace}/{name}", body)
        except KubeError as error:
            if error.status not in (404, 409):  # 409: another object has the name by now
                raise

    async def watch(self, kind: Kind, namespace: str, name: str, timeout: float) -> AsyncIterator[Object]:
        """The states of one object from now on, for at most `timeout` seconds."""
        params = {"fieldSelector": f"metadata.name={name}"}
        try:
            async for type_, found in self._events(kind, namespace, params, timeout):
                if type_ in ("ADDED", "MODIFIED"):
                    yield found
        except KubeError:
            return  # the caller reads again and watches anew

    async def offers(self, kind: Kind) -> bool:
        """Whether the cluster has this kind."""
        try:
            answer = await self._request("GET", kind, "discover", kind.path().rpartition("/")[0], "its version")
        except KubeError as error:
            if error.status == 404:
                return False
            raise
        return any(each.get("name") == kind.plural for each in answer.get("resources") or ())

    async def follow(
        self, kind: Kind, selector: str, version: int, timeout: float, *, namespace: str = ""
    ) -> AsyncIterator[tuple[str, Object]]:
        """What happens to the objects of a kind after `version`: ADDED, MODIFIED or DELETED with the object, and now
        and then BOOKMARK with a version up to which all was told.

        Ends after `timeout` seconds. Raises KubeError where it ends otherwise: the caller lists and follows anew.
        """
        params = {"resourceVersion": str(version), "allowWatchBookmarks": "true"}
        if selector:
            params["labelSelector"] = selector
        async for event in self._events(kind, namespace, params, timeout):
            yield event

    async def _events(
        self, kind: Kind, namespace: str, params: Mapping[str, str], timeout: float
    ) -> AsyncIterator[tuple[str, Object]]:
        doing = f"watch {kind.kind}"
        query = {"watch": "true", "timeoutSeconds": str(max(1, int(timeout))), **params}
        limit = aiohttp.ClientTimeout(total=timeout + 1, sock_connect=CONNECT_TIMEOUT)
        url = self._host + kind.path(namespace)
        try:
            headers = await bearer(self._configuration)
            async with self._session.get(url, params=query, headers=headers, timeout=limit, **self._way) as response:
                if response.status >= 300:
                    raise refusal(doing, response, await answers.read(response))
                async for type_, found in answers.events(response):
                    if type_ == "ERROR":
                        told = str(found.get("reason") or ""), str(found.get("message") or "")
                        code = found.get("code")
                        raise KubeError(doing, code if isinstance(code, int) else 0, *told)
                    yield type_, found
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KubeError(doing, 0, type(error).__name__, str(error) or "timed out") from error
        except TooLarge as error:
            raise KubeError(doing, 0, TOO_LARGE, str(error)) from error
        except ValueError as error:
            raise KubeError(doing, 0, "InvalidEvent", f"what came is no event: {error}") from error

    async def _write(
        self, method: str, kind: Kind, verb: str, path: str, what: str, body: Object, **options: Any
    ) -> Object:
        if not self.may_write():
            raise Fenced(f"{verb} {kind.kind} {what}: this replica does not hold the lease")
        return await self._request(method, kind, verb, path, what, body=body, timeout=WRITE_TIMEOUT, **options)

    async def _request(
        self,
        method: str,
        kind: Kind,
        verb: str,
        path: str,
        what: str,
        *,
        body: Object | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Object:
        with part(f"kube {verb}", verb=verb, kind=kind.kind, object=what, host=self._host) as span:
            return await self._send(span, method, kind, verb, path, what, body, params, headers, timeout)

    async def _send(
        self,
        span: Span,
        method: str,
        kind: Kind,
        verb: str,
        path: str,
        what: str,
        body: Object | None,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        timeout: float | None,
    ) -> Object:
        doing = f"{verb} {kind.kind} {what}"
        limit = aiohttp.ClientTimeout(total=timeout or self._timeout, sock_connect=CONNECT_TIMEOUT)
        all_headers = {"Content-Type": "application/json", **await bearer(self._configuration), **(headers or {})}
        data = _Fenced(json.dumps(body).encode(), self.may_write) if body is not None else None
        try:
            async with self._session.request(
                method, self._host + path, params=params, data=data, headers=all_headers, timeout=limit, **self._way
            ) as response:
                self._date(response.headers.get("Date", ""))
                content = await answers.read(response)
                self._observer(verb, kind, str(response.status))
                span.tell(code=response.status)
                if response.status >= 300:
                    raise refusal(doing, response, content)
                return answers.mapping(content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._observer(verb, kind, "0")
            raise KubeError(doing, 0, type(error).__name__, str(error) or "timed out") from error
        except TooLarge as error:
            self._observer(verb, kind, "0")
            raise KubeError(doing, 0, TOO_LARGE, str(error)) from error
        except ValueError as error:
            raise KubeError(doing, 0, "InvalidAnswer", f"the answer is not JSON: {error}") from error

    def _date(self, told: str) -> None:
        if self._dated is not None and told:
            with suppress(ValueError):  # what is no date says nothing
                self._dated(parsedate_to_datetime(told).timestamp())


def refusal(doing: str, response: aiohttp.ClientResponse, content: bytes) -> KubeError:
    """What an answer that is no success says."""
    try:
        status = answers.mapping(content)
        reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    except ValueError:
        reason, message = "", content[:200].decode(errors="replace")
    wait = response.headers.get("Retry-After", "")
    return KubeError(
        doing, response.status, reason or str(response.reason), message, float(wait) if wait.isdigit() else None
    )
