"""A proxy of aiohttp and uvloop that does nothing but pass on: what our gateway's functions are measured against.

`python bench_gateway_bare.py PORT BACKEND…`, addresses as HOST:PORT, in turn.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import cycle

import aiohttp
import uvloop
from aiohttp import web


async def main(port: int, backends: list[str]) -> None:
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False
    )
    turn = cycle(backends)

    async def pass_on(request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        headers = {"Content-Type": request.headers.get("Content-Type", "application/json")}
        async with session.request(
            request.method, f"http://{next(turn)}{request.path_qs}", data=body, headers=headers
        ) as answer:
            kind = {"Content-Type": answer.headers["Content-Type"]}
            if answer.content_type != "text/event-stream":
                return web.Response(status=answer.status, body=await answer.read(), headers=kind)
            response = web.StreamResponse(status=answer.status, headers=kind)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    server = web.Server(pass_on, access_log=None)
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2:]))
