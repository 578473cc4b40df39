"""Makes kubelet's probes of a container: real requests to its address, judged by thresholds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import aiohttp

from nodeagent.client import Json
from nodeagent.pace import Pace

Finding = tuple[bool, str]  # whether it went well, and kubelet's words if not


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe of the pod spec. Times are in seconds of the pod's time."""

    spec: Json
    initial_delay: float
    period: float
    timeout: float
    successes: int
    failures: int
    grace: float | None

    @classmethod
    def of(cls, spec: Json) -> Probe:
        """The probe that `spec` describes, with Kubernetes' defaults."""
        grace = spec.get("terminationGracePeriodSeconds")
        return cls(
            spec=spec,
            initial_delay=float(spec.get("initialDelaySeconds") or 0),
            period=float(spec.get("periodSeconds") or 10),
            timeout=float(spec.get("timeoutSeconds") or 1),
            successes=int(spec.get("successThreshold") or 1),
            failures=int(spec.get("failureThreshold") or 3),
            grace=None if grace is None else float(grace),
        )


class Judge:
    """Turns single findings into a verdict, which changes after enough of the same in a row. Pure."""

    def __init__(self, probe: Probe, verdict: bool | None) -> None:
        self.verdict = verdict
        self._probe = probe
        self._last: bool | None = None
        self._run = 0

    def hear(self, good: bool) -> bool | None:
        """The verdict after one more finding: True, False, or None while there is none yet."""
        self._run = self._run + 1 if good == self._last else 1
        self._last = good
        if self._run >= (self._probe.successes if good else self._probe.failures):
            self.verdict = good
        return self.verdict


class Prober:
    """Probes one container at its address."""

    def __init__(self, session: aiohttp.ClientSession, pace: Pace, address: str, ports: dict[str, int]) -> None:
        self._session = session
        self._pace = pace
        self._address = address
        self._ports = ports

    async def watch(self, probe: Probe, *, initially: bool | None) -> AsyncGenerator[tuple[bool | None, Finding], None]:
        """Probe again and again, yielding the verdict and the finding each time. Ends only by being closed."""
        judge = Judge(probe, initially)
        await self._pace.sleep(probe.initial_delay)
        while True:
            finding = await self.check(probe.spec, probe.timeout)
            yield judge.hear(finding[0]), finding
            await self._pace.sleep(probe.period)

    async def check(self, action: Json, timeout: float) -> Finding:
        """Do what a probe or a hook asks for once: httpGet, tcpSocket or grpc. An exec always goes well."""
        request, target = action.get("httpGet"), action.get("tcpSocket") or action.get("grpc")
        what = f'Get "{self._url(request)}": ' if request else ""
        try:
            async with asyncio.timeout(self._pace.timeout(timeout)):
                if request:
                    return await self._get(request)
                if target:
                    return await self._connect(target)
                return True, ""
        except TimeoutError:
            return False, f"{what}context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        except (aiohttp.ClientError, OSError) as error:
            number = getattr(error, "errno", None)
            return False, f"{what}{os.strerror(number).lower() if number else error}"

    def _url(self, request: Json) -> str:
        scheme = str(request.get("scheme") or "HTTP").lower()
        path = "/" + str(request.get("path") or "/").lstrip("/")
        return f"{scheme}://{request.get('host') or self._address}:{self._port(request['port'])}{path}"

    async def _get(self, request: Json) -> Finding:
        headers = {header["name"]: header["value"] for header in request.get("httpHeaders") or []}
        async with self._session.get(
            self._url(request), headers={"User-Agent": "kube-probe/bench"} | headers, ssl=False, allow_redirects=False
        ) as response:
            if 200 <= response.status < 400:
                return True, ""
            return False, f"HTTP probe failed with statuscode: {response.status}"

    async def _connect(self, target: Json) -> Finding:
        _, writer = await asyncio.open_connection(target.get("host") or self._address, self._port(target["port"]))
        writer.close()
        return True, ""

    def _port(self, port: int | str) -> int:
        if isinstance(port, int) or port.isdigit():
            return int(port)
        return self._ports.get(port, 0)  # nobody listens on port 0: a name that no port has fails the probe
