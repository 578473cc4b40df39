"""The engine of the gateway's benchmark: answers at once, or streams tokens at a fixed pace, at little cost of its own.

`python bench_gateway_backend.py PORT…` serves on those ports of the loopback interface until it is ended. Each token
of a stream is the moment it was sent (monotonic seconds, which all processes of a machine share).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from functools import partial
from typing import cast

import uvloop

MODEL = "llama"
PACE = 0.02  # seconds between two tokens
ANSWER = {
    "id": "chatcmpl-0123456789abcdef",
    "object": "chat.completion",
    "created": 1700000000,
    "model": MODEL,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello! How can I help you today?"},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 25, "completion_tokens": 10, "total_tokens": 35},
}
MODELS = {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 1700000000, "owned_by": "bench"}]}
SERVER = {"model_path": MODEL, "served_model_name": MODEL, "tp_size": 1, "dp_size": 1, "version": "0.5.0"}
CHUNK = (
    '{"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1700000000,"model":"' + MODEL + '",'
    '"choices":[{"index":0,"delta":{"content":"%.6f "},"logprobs":null,"finish_reason":null}]}'
)
USAGE = (
    '{"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1700000000,"model":"' + MODEL + '",'
    '"choices":[],"usage":{"prompt_tokens":25,"completion_tokens":%d,"total_tokens":%d}}'
)


def answer(body: object, status: str = "200 OK") -> bytes:
    """A whole answer of JSON."""
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    return head.encode() + content


COMPLETION = answer(ANSWER)
PATHS = {
    b"/health": answer({}),
    b"/v1/models": answer(MODELS),
    b"/get_model_info": answer(SERVER),
    b"/model_info": answer(SERVER),
    b"/get_server_info": answer(SERVER),
    b"/server_info": answer(SERVER),
}
UNKNOWN = answer({"error": {"message": "not found"}}, "404 Not Found")
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def event(data: str) -> bytes:
    """A server-sent event in a chunk of its own."""
    return b"%x\r\ndata: %b\n\n\r\n" % (len(data) + 8, data.encode())


class Engine(asyncio.Protocol):
    """One connection: requests with a Content-Length, one after the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.buffer = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are not derived from it

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            body = end + 4
            at = head.lower().find(b"content-length:")
            if at >= 0:
                length = int(head[at + 15 :].partition(b"\r\n")[0])
                if len(self.buffer) < body + length:
                    return
            else:
                length = 0
            content, self.buffer = self.buffer[body : body + length], self.buffer[body + length :]
            self.serve(head, content)

    def serve(self, head: bytes, content: bytes) -> None:
        if head.startswith(b"POST"):
            if b'"stream"' in content and (asked := json.loads(content)).get("stream"):
                self.stream(asked)
            else:
                self.transport.write(COMPLETION)
        else:
            self.transport.write(PATHS.get(head.split(b" ", 2)[1], UNKNOWN))

    def stream(self, asked: dict[str, object]) -> None:
        tokens = int(str(asked.get("max_tokens") or asked.get("max_completion_tokens")))  # a router may rename it
        options = asked.get("stream_options")
        usage = isinstance(options, dict) and bool(options.get("include_usage"))
        self.transport.write(STREAM)
        self.token(self.loop.time(), 0, tokens, usage)

    def token(self, started: float, number: int, tokens: int, usage: bool) -> None:
        if self.transport.is_closing():
            return
        if number < tokens:
            self.transport.write(event(CHUNK % time.monotonic()))
            self.loop.call_at(started + (number + 1) * PACE, self.token, started, number + 1, tokens, usage)
            return
        told = event(USAGE % (tokens, tokens + 25)) if usage else b""
        self.transport.write(told + event("[DONE]") + b"0\r\n\r\n")


async def main(ports: list[int]) -> None:
    loop = asyncio.get_running_loop()
    for port in ports:
        await loop.create_server(partial(Engine, loop), "127.0.0.1", port, backlog=1024)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main([int(each) for each in sys.argv[1:]]))
