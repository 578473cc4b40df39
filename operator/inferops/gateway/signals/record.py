"""One request from its arrival to its end: what the meters count and what the access log tells."""

from __future__ import annotations

from dataclasses import dataclass

from inferops.gateway.table import ServiceKey


@dataclass(slots=True)
class Record:
    """Filled in as the request goes on. Times are monotonic seconds, as `loop.time()` tells them."""

    arrived: float
    request_id: str = ""
    trace: str = ""
    client: str = ""  # whose API key it brought
    method: str = ""
    path: str = ""  # without its query
    key: ServiceKey | None = None
    model: str = ""
    revision: str = ""
    replica: str = ""
    stream: bool = False
    queued: float = 0.0  # seconds in the room, for a replica
    attempts: int = 0  # replicas asked
    spilled: str = ""  # the other cluster that answers it
    received: bool = False  # a gateway of another cluster passed it on
    status: int = 0  # sent to the client; 499: it went away first
    asked: float = 0.0  # seconds from arrival until the replica was asked that answered in the end
    first: float | None = None  # seconds from arrival to the first token of a stream, or to the whole answer
    duration: float = 0.0  # seconds from arrival to the end
    tokens_in: int | None = None  # None: the engine did not say
    tokens_out: int | None = None
    sent: int = 0  # bytes of the answer
    error: str = ""  # type of the error, "" where all went well
    broken: bool = False  # a stream that ended early through our or the engine's fault
