"""Keeps a running container's `started` and `ready` true to its probes, and restarts it when they say so."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from nodeagent.hooks import named_ports
from nodeagent.probes import Finding, Probe, Prober

if TYPE_CHECKING:
    from nodeagent.lifecycle import ContainerLife, Home

DEFAULT_GRACE = 30.0


class Health:
    """The probes of one run of a container. Startup comes first; readiness and liveness wait for it."""

    def __init__(self, home: Home, life: ContainerLife) -> None:
        self._home = home
        self._life = life
        self._shown = life.shown
        self._prober = Prober(home.kubelet.session, home.kubelet.pace, home.address, named_ports(life.spec))

    async def watch(self) -> None:
        """Probe until cancelled."""
        startup, readiness, liveness = (self._probe(kind) for kind in ("startup", "readiness", "liveness"))
        if startup:
            await self._startup(startup)
        self._shown.started = True
        self._shown.ready = readiness is None
        self._life.up.set()
        self._home.changed()
        async with asyncio.TaskGroup() as group:
            if readiness:
                group.create_task(self._readiness(readiness))
            if liveness:
                group.create_task(self._liveness(liveness))

    def _probe(self, kind: str) -> Probe | None:
        spec = self._life.spec.get(f"{kind}Probe")
        return Probe.of(spec) if spec else None

    async def _startup(self, probe: Probe) -> None:
        async with aclosing(self._prober.watch(probe, initially=None)) as verdicts:
            async for verdict, finding in verdicts:
                self._note("Startup", finding)
                if verdict is True:
                    return
                if verdict is False:
                    await self._restart("startup", probe)

    async def _readiness(self, probe: Probe) -> None:
        async with aclosing(self._prober.watch(probe, initially=False)) as verdicts:
            async for verdict, finding in verdicts:
                self._note("Readiness", finding)
                if bool(verdict) != self._shown.ready:
                    self._shown.ready = bool(verdict)
                    self._home.changed()

    async def _liveness(self, probe: Probe) -> None:
        async with aclosing(self._prober.watch(probe, initially=True)) as verdicts:
            async for verdict, finding in verdicts:
                self._note("Liveness", finding)
                if verdict is False:
                    await self._restart("liveness", probe)

    async def _restart(self, kind: str, probe: Probe) -> None:
        """End a process that failed its probe, unless the pod is being deleted; the probes end with it."""
        if not self._life.ending:
            self._home.tell("Normal", "Killing", f"Container {self._shown.name} failed {kind} probe, will be restarted")
            usual = self._home.pod["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE)
            await self._life.stop(usual if probe.grace is None else probe.grace, for_good=False)
        await asyncio.Event().wait()

    def _note(self, kind: str, finding: Finding) -> None:
        good, why = finding
        if not good and not self._life.ending:
            self._home.tell("Warning", "Unhealthy", f"{kind} probe failed: {why}")
