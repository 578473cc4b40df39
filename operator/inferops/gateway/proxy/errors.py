"""Errors as clients read them: in the shape of OpenAI's API, or in that of the Open Inference Protocol."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

INVALID = "invalid_request_error"
RATE_LIMIT = "rate_limit_error"
UPSTREAM = "upstream_error"  # an engine did not answer, or broke off
UNAVAILABLE = "service_unavailable"
TIMEOUT = "timeout_error"


class ApiError(Exception):
    """Why a request is not answered as it was meant to be. The message names the remedy."""

    def __init__(
        self,
        status: int,
        type: str,
        message: str,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`param`: the faulty field. `code`: one of few fixed words. `retry_after`: seconds."""
        super().__init__(message)
        self.status = status
        self.type = type
        self.message = message
        self.param = param
        self.code = code or type
        self.retry_after = retry_after
        self.extra = headers or {}

    def body(self, openai: bool = True) -> bytes:
        """As JSON: `{"error": {…}}` of OpenAI's API, or `{"error": "…"}` of the Open Inference Protocol."""
        if not openai:
            return json.dumps({"error": self.message}).encode()
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return json.dumps({"error": error}).encode()

    def headers(self) -> dict[str, str]:
        """Retry-After in whole seconds where it is known, and what the status asks for."""
        headers = dict(self.extra)
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return headers

    def event(self) -> bytes:
        """As the last event of a stream that cannot go on."""
        return b"data: " + self.body() + b"\n\n"


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    return ApiError(400, INVALID, message, param, code)


def no_such_path(method: str, path: str) -> ApiError:
    return ApiError(
        404, INVALID, f"{method} {path} is not served here; see the engine's API for what is", code="unknown_url"
    )


def no_such_model(model: str) -> ApiError:
    return ApiError(
        404,
        INVALID,
        f"the model {model!r} does not exist, or this host does not serve it; GET /v1/models lists those that are here",
        "model",
        "model_not_found",
    )


def unauthorized(message: str) -> ApiError:
    return ApiError(401, "authentication_error", message, code="invalid_api_key")
