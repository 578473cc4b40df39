"""A pod is taken out of the API however long the API server is away."""

from __future__ import annotations

from typing import cast

import aiohttp
import pytest

from nodeagent.client import ApiError, Client
from nodeagent.writer import take_out
from unit.kube.virtualtime import run


class Away:
    """An API server that fails at first."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.deleted: list[str] = []

    async def delete(self, path: str, body: object) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.deleted.append(path)


def api_error(status: int) -> ApiError:
    return ApiError("DELETE", "/pods/a", status, "made by a test")


def test_it_is_tried_again_until_the_server_is_back() -> None:
    server = Away(aiohttp.ClientConnectionError(), TimeoutError(), api_error(503))
    run(take_out(cast(Client, server), "/pods/a", "uid"))
    assert server.deleted == ["/pods/a"]


@pytest.mark.parametrize("status", [404, 409])
def test_one_that_is_gone_is_taken_out(status: int) -> None:
    server = Away(api_error(status))
    run(take_out(cast(Client, server), "/pods/a", "uid"))
    assert not server.deleted


def test_a_refusal_is_told() -> None:
    with pytest.raises(ApiError):
        run(take_out(cast(Client, Away(api_error(403))), "/pods/a", "uid"))
