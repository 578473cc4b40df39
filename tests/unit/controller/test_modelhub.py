"""A hub's answers become facts, and everything else an error that says what to do: against a real server."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from inferops.controller.modelhub import Hub, HubError
from inferops.core.facts import ModelFacts, Precision
from unit.core.configs import CONFIGS

LLAMA = CONFIGS["llama-3.1-8b"]
Page = web.Response | Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """A hub on loopback: pages by path, and what was asked of it."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[web.Request] = []
        self.runner = web.AppRunner(self._app(), shutdown_timeout=0.1)
        self.url = ""

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._page)
        return app

    async def _page(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        page = self.pages.get(request.raw_path, web.Response(status=404))
        if callable(page):
            return await page(request)
        return web.Response(status=page.status, headers=page.headers, body=page.body)  # one can be sent but once

    async def start(self) -> None:
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    def put(self, file: str, page: Page | dict[str, Any], path: str = "/org/model/resolve/main/") -> None:
        self.pages[path + file] = web.json_response(page) if isinstance(page, dict) else page


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.start()
    yield server
    await server.runner.cleanup()


@pytest.fixture
async def elsewhere() -> AsyncIterator[Server]:
    other = Server()
    await other.start()
    yield other
    await other.runner.cleanup()


async def ask(server: Server, revision: str | None = None, **options: Any) -> ModelFacts:
    async with Hub(server.url, **options) as hub:
        return await hub.facts("org/model", revision)


async def refusal(server: Server, **options: Any) -> HubError:
    with pytest.raises(HubError) as caught:
        await ask(server, **options)
    return caught.value


async def test_a_config_becomes_facts(server: Server) -> None:
    server.put("config.json", LLAMA)
    found = await ask(server)
    assert (found.name, found.params, found.checkpoint_bytes) == ("org/model", 8_029_995_008, None)
    paths = [request.raw_path.rpartition("/")[2] for request in server.asked]
    assert paths == ["config.json", "hf_quant_config.json", "model.safetensors.index.json"]
    assert not any("Authorization" in request.headers or "Cookie" in request.headers for request in server.asked)


async def test_the_files_beside_it_are_read_too(server: Server) -> None:
    server.put("config.json", LLAMA)
    server.put("hf_quant_config.json", {"quantization": {"quant_algo": "FP8"}})
    server.put("model.safetensors.index.json", {"metadata": {"total_size": 9_080_000_000}, "weight_map": {"a": "b"}})
    found = await ask(server)
    assert (found.precision, found.weight_bytes()) == (Precision.FP8, 9_080_000_000)


async def test_a_quantization_in_config_json_is_not_asked_for_again(server: Server) -> None:
    server.put("config.json", {**LLAMA, "quantization_config": {"quant_method": "awq", "bits": 4}})
    assert (await ask(server)).precision == Precision.INT4
    assert not any("hf_quant" in request.path for request in server.asked)


@pytest.mark.parametrize("total", [0, 1_000, 32_120_000_000, 10**17])
async def test_a_sum_of_files_that_are_not_loaded_as_they_are_is_passed_over(server: Server, total: int) -> None:
    server.put("config.json", LLAMA)
    server.put("model.safetensors.index.json", {"metadata": {"total_size": total}})
    assert (await ask(server)).checkpoint_bytes is None


async def test_of_a_large_index_only_its_beginning_is_read(server: Server) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            await response.write(b'{"metadata": {"total_size": 16060522496}, "weight_map": {')
            while sent < 10**9:
                sent += 10_000
                await response.write(b" " * 10_000)
        except OSError:
            pass  # hung up on
        return response

    server.put("config.json", LLAMA)
    server.put("model.safetensors.index.json", endless)
    assert (await ask(server)).weight_bytes() == 16_060_522_496
    assert sent < 10**8


@pytest.mark.parametrize("revision", ["6f6073b", "refs/pr/7", "a/../../../x"])
async def test_a_revision_is_one_part_of_the_path(server: Server, revision: str) -> None:
    server.put("config.json", LLAMA, f"/org/model/resolve/{revision.replace('/', '%2F')}/")
    assert (await ask(server, revision)).heads == 32


@pytest.mark.parametrize(
    ("status", "passing", "words"),
    [
        (401, False, ["401", "gated or private", "no credentials", "spec.model.config"]),
        (403, False, ["403", "gated or private", "spec.model.config"]),
        (404, False, ["no config.json of org/model at main", "spec.model.uri", "spec.model.config"]),
        (400, False, ["400", "spec.model.config"]),
        (429, True, ["429"]),
        (500, True, ["500"]),
        (503, True, ["503"]),
    ],
)
async def test_a_refusal_says_what_to_do(server: Server, status: int, passing: bool, words: list[str]) -> None:
    server.put("config.json", web.Response(status=status, headers={"Retry-After": "120"}))
    error = await refusal(server)
    assert error.passing == passing
    assert error.retry_after == (None if status in (401, 403, 404) else 120)
    assert all(word in str(error) for word in words), str(error)


@pytest.mark.parametrize(
    ("header", "seconds"), [("999999", 3600), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None)]
)
async def test_a_wait_that_is_asked_for_is_bounded(server: Server, header: str, seconds: float | None) -> None:
    server.put("config.json", web.Response(status=429, headers={"Retry-After": header}))
    assert (await refusal(server)).retry_after == seconds


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>Sign in</html>", ["config.json of org/model", "no JSON"]),
        (b"\xff\xfe\x00", ["no JSON"]),
        (b"", ["no JSON"]),
        (b"[1]", ["no JSON object"]),
        (b"[" * 200_000, ["nested too deeply"]),
        (b'{"hidden_size": ' + b"9" * 5000 + b"}", ["no JSON"]),
        (b"{}", ["is missing", "spec.model.config"]),
        (gzip.compress(json.dumps(LLAMA).encode()), ["no JSON"]),
    ],
)
async def test_garbage_is_called_so(server: Server, body: bytes, words: list[str]) -> None:
    server.put("config.json", web.Response(body=body))
    error = await refusal(server)
    assert not error.passing
    assert all(word in str(error) for word in words), str(error)


async def test_a_file_that_is_too_large_is_not_read_to_its_end(server: Server) -> None:
    server.put("config.json", web.Response(body=b"{" + b" " * 5_000_000))
    error = await refusal(server)
    assert "larger than 5,000,000 bytes" in str(error) and not error.passing


async def test_an_answer_that_does_not_come_is_not_waited_for(server: Server) -> None:
    never = asyncio.Event()

    async def silent(_: web.Request) -> web.StreamResponse:
        await never.wait()
        raise AssertionError

    server.put("config.json", silent)
    error = await refusal(server, timeout=0.05)
    assert "did not answer in 0.05 s" in str(error) and error.passing


async def test_a_hub_that_is_not_there(server: Server) -> None:
    await server.runner.cleanup()
    error = await refusal(server)
    assert "cannot be asked" in str(error) and error.passing


async def test_redirects_on_the_same_host_are_followed(server: Server) -> None:
    server.put("config.json", web.Response(status=307, headers={"Location": "/new/name/resolve/main/config.json"}))
    server.put("config.json", LLAMA, "/new/name/resolve/main/")
    assert (await ask(server)).heads == 32


@pytest.mark.parametrize("allowed", [True, False])
async def test_another_host_is_followed_with_tls_alone(server: Server, elsewhere: Server, allowed: bool) -> None:
    server.put("config.json", web.Response(status=302, headers={"Location": f"{elsewhere.url}/blob?signed=a%2Fb"}))
    elsewhere.pages["/blob?signed=a%2Fb"] = web.json_response(LLAMA)
    if allowed:
        assert (await ask(server, plain_redirects=True)).heads == 32
    else:
        error = await refusal(server)
        assert "which is not https" in str(error) and not error.passing
    assert len(elsewhere.asked) == allowed


@pytest.mark.parametrize("location", ["ftp://example.com/x", "file:///etc/passwd", "http://[", "", "//"])
async def test_a_redirect_to_nowhere_is_an_error(server: Server, location: str) -> None:
    server.put("config.json", web.Response(status=302, headers={"Location": location}))
    assert str(await refusal(server))


async def test_redirects_in_a_circle_end(server: Server) -> None:
    path = "/org/model/resolve/main/config.json"
    server.put("config.json", web.Response(status=302, headers={"Location": path}))
    assert "in circles" in str(await refusal(server))
    assert len(server.asked) == 6


@pytest.mark.parametrize(
    "endpoint", ["", "hub.example.com", "ftp://hub.example.com", "https://me:secret@hub.example.com"]
)
def test_an_endpoint_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="hub: "):
        Hub(endpoint)
