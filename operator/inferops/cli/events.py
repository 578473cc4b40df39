"""The Events beside a service, newest first, as far as whoever asks may see them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from inferops.cli.access import UserClient
from inferops.cli.gather import Gathering
from inferops.kube.kinds import EVENT

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Told:
    """An Event."""

    reason: str
    message: str
    warning: bool = False
    count: int = 1
    last: str = ""  # RFC 3339

    @property
    def line(self) -> str:
        return f"{self.reason}{f' (x{self.count})' if self.count > 1 else ''}: {self.message}"


async def events(client: UserClient, reads: Gathering, namespace: str, name: str) -> tuple[Told, ...]:
    """The newest ones. What may not be seen is told to `reads`."""
    params = {"fieldSelector": f"involvedObject.kind=InferenceService,involvedObject.name={name}", "limit": "100"}
    asked = client.text(EVENT.path(namespace), params)
    answer = await reads.trying(asked, f"list events in namespace {namespace}", "events are not told")
    try:
        found = [_told(raw) for raw in json.loads(answer).get("items") or []] if answer else []
    except (ValueError, AttributeError, TypeError):
        return ()
    return tuple(sorted(found, key=lambda each: each.last, reverse=True)[:SHOWN])


def _told(raw: dict[str, object]) -> Told:
    count = raw.get("count")
    return Told(
        str(raw.get("reason") or ""),
        str(raw.get("message") or ""),
        raw.get("type") == "Warning",
        count if isinstance(count, int) else 1,
        str(raw.get("lastTimestamp") or raw.get("eventTime") or ""),
    )
