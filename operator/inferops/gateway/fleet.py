"""The live state of all services, kept while tables come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from inferops.gateway.pool import Pool
from inferops.gateway.table import ServiceKey, Table


class Fleet:
    """The pools of all services of the table in force."""

    table: Table
    peers: int  # ready gateway replicas, this one included
    on_demand: Callable[[ServiceKey], None]  # called when requests begin to wait for a service, and when none waits

    def __init__(self, clock: Callable[[], float]) -> None:
        raise NotImplementedError

    def update(self, table: Table, peers: int | None = None) -> None:
        """Go by `table` from now on; `peers` left out: as many gateways as before."""
        raise NotImplementedError

    def pool(self, key: ServiceKey) -> Pool | None:
        raise NotImplementedError

    def pools(self) -> Iterable[Pool]:
        raise NotImplementedError
