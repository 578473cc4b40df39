"""How a server fails: at start, with an exit code; in a request, with a status."""

from __future__ import annotations


class StartFailure(Exception):
    """The server does not start: what its log says, and the code it exits with."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Stopped(Exception):
    """The engine stopped before the request was answered."""


class ApiError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, kind: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind  # vLLM's type, for example NotFoundError
        self.param = param  # the field that is at fault

    def body(self) -> dict[str, object]:
        """As vLLM, and the OpenAI API, shape it."""
        error = {"message": str(self), "type": self.kind, "param": self.param, "code": self.status}
        return {"error": error}
