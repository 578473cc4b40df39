"""Which service a request is for, as far as its head tells: by host, by path, or by a model that its body will name."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from inferops.gateway.proxy.errors import ApiError, bad_request, no_such_model, no_such_path
from inferops.gateway.proxy.paths import SAFE, Path
from inferops.gateway.table import SERVICES, Backend, Table
from inferops.runtimes.base import Api

MODELS = "/v1/models"
V2_MODELS = "/v2/models/"
HEALTH = ("/v2/health/live", "/v2/health/ready")
LOOKING = ("GET", "HEAD")
METHODS = frozenset(("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"))


class By(Enum):
    """What answers a request, and how that is found."""

    SERVICE = "the service that host or path name"
    BODY = "the service of the model that the body names"
    MODELS = "the gateway: its models, or those of the service"
    HEALTH = "the gateway: its own health"


class Route(NamedTuple):
    """Where a request goes."""

    by: By
    path: str  # as the engine knows it
    encoded: str
    backend: Backend | None = None


def route(table: Table, method: str, host: str, asked: Path) -> Route:
    """Find the way of a request. Raises `ApiError`."""
    path, encoded = asked.path, asked.encoded
    if method not in METHODS:
        raise ApiError(405, "invalid_request_error", f"{method} is not served here", code="method_not_allowed")
    backend = table.of_host(host)
    if backend is None and path.startswith(SERVICES):
        backend, path = table.of_path(path)
        if backend is None:
            raise ApiError(404, "invalid_request_error", "there is no service of that name", code="service_not_found")
        encoded = quote(path, safe=SAFE)
    if method in LOOKING and _lists_models(path, backend):
        return Route(By.MODELS, path, encoded, backend)
    if asked.slashes:
        raise bad_request("the path holds an encoded slash; only names below /v1/models/ may", code="invalid_path")
    if backend is not None:
        return Route(By.SERVICE, path, encoded, _open(backend, method, path))
    if method in LOOKING and path in HEALTH:
        return Route(By.HEALTH, path, encoded)
    if path.startswith(V2_MODELS):
        model = path.removeprefix(V2_MODELS).partition("/")[0]
        backend = table.by_model.get(model)
        if backend is None:
            raise no_such_model(model)
        return Route(By.SERVICE, path, encoded, _open(backend, method, path))
    if method == "POST" and path.startswith("/v1/"):
        return Route(By.BODY, path, encoded)
    raise no_such_path(method, path)


def of_model(table: Table, model: str, method: str, path: str) -> Backend:
    """The service of the model in a body. Raises `ApiError`."""
    if not model:
        raise bad_request('the body names no model; add "model", or use the host name of a service', "model")
    backend = table.by_model.get(model)
    if backend is None:
        raise no_such_model(model)
    return _open(backend, method, path)


def _open(backend: Backend, method: str, path: str) -> Backend:
    if not _allows(backend.api, path):
        raise no_such_path(method, path)
    return backend


@lru_cache(maxsize=1024)
def _allows(api: Api, path: str) -> bool:
    """`api.allows`, for the few paths that most requests go to."""
    return api.allows(path)


def _lists_models(path: str, backend: Backend | None) -> bool:
    if backend is not None and backend.api.dialect != "openai":
        return False
    return path == MODELS or path.startswith(f"{MODELS}/")
