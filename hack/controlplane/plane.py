"""The four servers of a cluster: started in order, waited for, stopped one by one or all."""

from __future__ import annotations

import time
from collections.abc import Callable

from controlplane import addresses as at
from controlplane.api import Api
from controlplane.binaries import Binaries
from controlplane.commands import Layout, command_of
from controlplane.component import Component
from controlplane.errors import BenchError

SERVERS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")  # in the order of their start
START_DEADLINE = 120.0  # seconds for each; 4 for all of them on an idle machine
STOP_GRACE = 5.0  # seconds for each


class Plane:
    """The components of the cluster that `layout` describes."""

    def __init__(self, binaries: Binaries, layout: Layout, api: Api) -> None:
        self._api = api
        self._server = layout.addresses.server
        self._health = _health_urls(layout)
        self._components = {
            name: Component(name, command_of(name, binaries, layout), layout.folder / f"{name}.log") for name in SERVERS
        }

    def start(self) -> None:
        """Raises `BenchError` when one of them ends, or is not ready within two minutes."""
        for name in SERVERS[:2]:
            self.start_component(name, wait=True)
        for name in SERVERS[2:]:
            self.start_component(name, wait=False)
        for name in SERVERS[2:]:
            self.wait_ready(name)
        self.wait("the service account default of the namespace default", self._has_default_account)

    def stop(self) -> None:
        """At once: nothing of it is kept, and an API server that says goodbye in order takes seconds."""
        for name in reversed(SERVERS):
            self._components[name].stop(0)

    def start_component(self, name: str, *, wait: bool) -> None:
        self._component(name).start()
        if wait:
            self.wait_ready(name)

    def stop_component(self, name: str, *, kill: bool) -> None:
        self._component(name).stop(0 if kill else STOP_GRACE)

    def wait_ready(self, name: str) -> None:
        """Raises `BenchError` with the end of the log when the component ends, or is not ready in two minutes."""
        self._component(name)
        self.wait(name, lambda: self._api.answers(self._health[name]))

    def wait(self, what: str, ready: Callable[[], bool]) -> None:
        """Wait until `ready`, as long as all components that were started run."""
        deadline = time.monotonic() + START_DEADLINE
        while not ready():
            for component in self._components.values():
                component.require_running()
            if time.monotonic() > deadline:
                tails = "\n".join(f"{name}:\n{component.tail()}" for name, component in self._components.items())
                raise BenchError(f"{what} was not ready within {START_DEADLINE:.0f} s\n{tails}")
            time.sleep(0.05)

    def pids(self) -> dict[str, int]:
        return {name: component.pid for name, component in self._components.items() if component.pid is not None}

    def _has_default_account(self) -> bool:
        """Without it the namespace default takes no pods."""
        return self._api.answers(f"{self._server}/api/v1/namespaces/default/serviceaccounts/default")

    def _component(self, name: str) -> Component:
        if name not in self._components:
            raise BenchError(f"component: {name!r} is not one of {', '.join(SERVERS)}")
        return self._components[name]


def _health_urls(layout: Layout) -> dict[str, str]:
    here = layout.addresses
    return {
        "etcd": f"{here.etcd}/health",
        "kube-apiserver": f"{here.server}/readyz",
        "kube-controller-manager": f"https://{here.host}:{at.CONTROLLER_MANAGER_PORT}/healthz",
        "kube-scheduler": f"https://{here.host}:{at.SCHEDULER_PORT}/healthz",
    }
