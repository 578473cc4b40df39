"""One request while it is answered: what was read of it, where it goes, and what was sent back so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from inferops.gateway.proxy.content import NOTHING, Content
from inferops.gateway.proxy.deadlines import Deadline
from inferops.gateway.proxy.hop import Hop
from inferops.gateway.signals.record import Record
from inferops.gateway.table import Backend


@dataclass(slots=True)
class Call:
    """Filled in as the request goes on."""

    request: web.BaseRequest
    record: Record
    deadline: Deadline
    last: Callable[[], bool]  # whether the gateway ends: the client is to connect elsewhere next time
    path: str = ""  # as the engine knows it
    target: bytes = b""  # and with its query, encoded
    backend: Backend | None = None
    content: Content = NOTHING
    body: bytes = b""  # as it is sent to the engine
    held: int = 0  # bytes of it as it came
    head: bytes = b""  # and its head after the Host
    session: str | None = None
    affinity: bytes | None = None
    hop: Hop | None = None  # a gateway of another cluster passed it on
    strip: bool = False  # whether the client did not ask for the token counts that its stream will end with
    headers: Mapping[str, str] = field(default_factory=dict)  # of the gateway, for the answer
    reply: web.StreamResponse | None = None  # which has begun to be sent
    events: int = 0  # of its stream
    delivered: bool = False  # its stream was sent up to `[DONE]`: a client that goes away now has it all
    silent: bool = False  # it is a probe: neither counted nor logged

    @property
    def openai(self) -> bool:
        """Whether it speaks OpenAI's API."""
        if self.backend is not None:
            return self.backend.api.dialect != "open-inference"
        return not self.record.path.startswith("/v2")

    @property
    def counts_tokens(self) -> bool:
        """Whether answers say how many tokens they took, so that they must come uncompressed."""
        return self.backend is not None and self.backend.api.dialect == "openai"
