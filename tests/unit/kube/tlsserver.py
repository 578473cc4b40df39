"""An API server over TLS that notes who logs in, and commands that do."""

from __future__ import annotations

import base64
import json
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from kubernetes.aio.client import Configuration

from controlplane.certificates import Authority
from inferops.kube.client import Client
from inferops.kube.kinds import NAMESPACE

Config = dict[str, Any]


def encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


@asynccontextmanager
async def serving(authority: Authority, host: str = "127.0.0.1") -> AsyncIterator[tuple[str, list[Config]]]:
    """An API server on loopback that answers with a namespace and notes who asked, and its URL."""
    asked: list[Config] = []

    async def answer(request: web.Request) -> web.Response:
        peer = request.get_extra_info("peercert") or {}
        names = [value for part in peer.get("subject", ()) for key, value in part if key == "commonName"]
        asked.append({"certificate": names, "authorization": request.headers.get("Authorization")})
        if request.path.startswith("/elsewhere"):
            raise web.HTTPFound("http://127.0.0.1:1/latest/meta-data")
        return web.json_response({"metadata": {"name": "kube-system", "uid": "u-1"}})

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.pair.certificate))
    pair = authority.serving("server", [host])
    context.load_cert_chain(pair.certificate, pair.key)
    context.verify_mode = ssl.CERT_OPTIONAL
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


async def ask(configuration: Configuration) -> str:
    """The UID of the cluster's kube-system."""
    client = Client(configuration, timeout=600)
    try:
        found = await client.get(NAMESPACE, "", "kube-system")
        assert found is not None
        return str(found["metadata"]["uid"])
    finally:
        await client.close()


def plugin(*program: str) -> Config:
    command = {"command": sys.executable, "args": ["-S", "-c", "\n".join(program)]}
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", **command}}


def answering(**status: str) -> str:
    return json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status})
