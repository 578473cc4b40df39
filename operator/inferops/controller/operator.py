"""The operator's process from start to end: prime, watch, wait for the lease, work, drain, release.

Order matters at both ends. Tasks that are to outlive kopf's shutdown are started before it, since kopf cancels
every task that is younger than itself; and the workers are drained before the lease is released, so that there
are never two writers.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import uuid
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import kopf
from kubernetes.aio.client import Configuration

from inferops.api.traffic import GatewayRef
from inferops.catalogue import accelerators, runtimes
from inferops.controller import watch
from inferops.controller.apply import Applier, Status
from inferops.controller.autoscaling import Autoscaling
from inferops.controller.barred import Barred
from inferops.controller.clock import SteadyClock, Told
from inferops.controller.copies import StoreCopy
from inferops.controller.counting import Counting
from inferops.controller.demand import Demands
from inferops.controller.events import Recorder
from inferops.controller.exposition import Exposition
from inferops.controller.gateways import SELECTOR, Gateways
from inferops.controller.link import SYSTEM
from inferops.controller.loads import Loads
from inferops.controller.members import Members
from inferops.controller.modelhub import HUB, Hub
from inferops.controller.modelinfo import ModelInfo
from inferops.controller.notify import Receiver
from inferops.controller.optional import OptionalKinds
from inferops.controller.outward import Outward
from inferops.controller.placing import Placing
from inferops.controller.queue import Queue
from inferops.controller.reconcile import Reconciler
from inferops.controller.rollouts import Rollouts
from inferops.controller.sizer import Sizer
from inferops.controller.store import OPTIONAL, WATCHED, Key, Store
from inferops.controller.telemetry import Metrics, serve
from inferops.controller.webhookhosts import DEFAULT
from inferops.controller.workers import work
from inferops.core.membership import USUAL, Patience
from inferops.core.tallies import tallies
from inferops.kube.client import Client, KubeError
from inferops.kube.clusterprofile import Provider
from inferops.kube.kinds import ENDPOINT_SLICE, INFERENCE_CLUSTER, NAMESPACE, Kind
from inferops.kube.lease import Elector, LeaseLost
from inferops.kube.mirror import Mirror, take_in
from inferops.kube.scope import Scope
from inferops.kube.session import load_configuration, user_agent

log = logging.getLogger(__name__)

HEARD = 0.5  # seconds that a new leader gives the gateways to tell, before it decides without
DRAIN = 1.0  # seconds that reconciles under way get to finish at the end
LEASE_NAME = "inferops-operator"


@dataclass(frozen=True, slots=True)
class Options:
    """How the operator is run."""

    namespace: str  # of the Lease
    kubeconfig: str | None = None
    workers: int = 32
    address: str = "0.0.0.0"
    port: int = 8080  # 0: no health and metrics server
    hub: str | None = HUB  # which is asked for the shape of models that are not built in; None: none is
    gateway: GatewayRef | None = None  # of the Gateway API, for services that name none
    webhook_hosts: tuple[str, ...] = DEFAULT  # patterns of those that gates' webhooks may be at
    notify: tuple[Receiver, ...] = ()  # who is told of rollouts
    prometheus: str | None = None  # its URL, where requests may be counted; None: there is none
    patience: Patience = USUAL  # with member clusters that do not answer
    providers: tuple[Provider, ...] = ()  # of credentials for the clusters of ClusterProfiles
    namespaces: tuple[str, ...] = ()  # whose services are served; none: those of all


class Operator:
    """One replica of the operator."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.metrics = Metrics()
        self.scope = Scope(options.namespaces, options.namespace)
        self.store = Store(accelerators(), runtimes())
        self.queue: Queue[Key] = Queue(asyncio.get_running_loop().time, urgent=self._urgent, idle=True)
        self.gateways = Gateways()
        self.demands = self._demands()
        self.told = Told()
        self.clock = SteadyClock(self.told.time)
        self.counting = Counting(self.clock.now, self.demands, options.prometheus)
        self.loads = Loads(self.clock.now, self.demands, options.prometheus)
        self.primed = False
        self.stop = asyncio.Event()
        self.failure: BaseException | None = None

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. Raises LeaseLost when the lease is lost: the process must end."""
        configuration = await load_configuration(self.options.kubeconfig)
        observer = self.metrics.observe_request
        identity = f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"
        agent = user_agent(identity)
        lease_client = Client(configuration, observer=observer, agent=agent, dated=self.told.heard)
        elector = Elector(lease_client, self.options.namespace, LEASE_NAME, identity)
        client = Client(configuration, may_write=elector.leads, observer=observer, agent=agent, dated=self.told.heard)
        server = None
        self._bind_gauges(elector)
        try:
            if self.options.port:
                server = await serve(
                    Exposition(self.metrics, self.store, elector.leads).scrape,
                    self.options.address,
                    self.options.port,
                    self._healthy,
                    lambda: self.primed,
                )
            optional = OptionalKinds(client, self.store, self.queue, self.scope)
            barred = Barred(client, self.store, self.queue, self.scope, optional.prime)
            await self._prime(client, barred, optional)
            sweeper = watch.Sweeper(client, self.store, self.queue, self.scope)
            gateways = Mirror(
                client, ENDPOINT_SLICE, self.gateways, selector=SELECTOR, namespace=self.options.namespace
            )
            handlers = watch.registry(self.store, self.queue, self.scope)
            watch.log_in(handlers, configuration, sweeper.listed, agent)
            own = [
                self._task(self._lead(elector, client, configuration, agent, barred), "leader"),
                self._task(sweeper.run(), "sweeper"),
                self._task(optional.run(), "optional kinds"),
                self._task(gateways.run(), "gateways"),
            ]
            if self.scope.named:
                clusters = StoreCopy(self.store, self.queue, INFERENCE_CLUSTER)
                beyond = Mirror(client, INFERENCE_CLUSTER, clusters, namespace=self.options.namespace)
                own += [self._task(beyond.run(), "clusters"), self._task(barred.run(), "barred namespaces")]
            await self._watch(handlers, own, elector)
        finally:
            if server is not None:
                await server.cleanup()
            await client.close()
            await lease_client.close()
        if self.failure is not None:
            raise self.failure

    async def _prime(self, client: Client, barred: Barred, optional: OptionalKinds) -> None:
        """Fill the caches; a server that is not there yet is waited for."""
        wait = 0.5
        while not self.primed:
            try:
                await barred.prime()
                await optional.prime()
                await take_in(client, ENDPOINT_SLICE, self.gateways, SELECTOR, self.options.namespace)
                self.primed = True
            except KubeError as error:
                log.warning("cannot fill the caches yet: %s", error)
                await asyncio.sleep(wait)
                wait = min(wait * 2, 10.0)

    async def _watch(self, handlers: kopf.OperatorRegistry, own: list[asyncio.Task[None]], elector: Elector) -> None:
        """Run kopf until we are told to stop, then end in order: workers, lease, watches."""
        stop_kopf, kopf_ready = asyncio.Event(), asyncio.Event()
        watches = self._task(
            kopf.operator(
                registry=handlers,
                settings=watch.settings(),
                clusterwide=not self.scope.named,
                namespaces=self.scope.namespaces,
                standalone=True,
                stop_flag=stop_kopf,
                ready_flag=kopf_ready,
            ),
            "kopf",
        )
        await asyncio.wait([watches, asyncio.create_task(kopf_ready.wait())], return_when=asyncio.FIRST_COMPLETED)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):  # after kopf set its own
            loop.add_signal_handler(name, self.stop.set)
        await self.stop.wait()
        for task in own:
            task.cancel()
        await asyncio.wait(own, timeout=DRAIN + 1)
        await elector.release()
        stop_kopf.set()
        with suppress(asyncio.CancelledError):
            await watches

    async def _lead(
        self, elector: Elector, client: Client, configuration: Configuration, agent: str, barred: Barred
    ) -> None:
        """Wait for the lease, then work for as long as it is ours."""
        await elector.acquire()
        self.queue.begin(self.store.all_keys())
        members = Members(
            client,
            configuration,
            self.options.namespace,
            self.clock.time,
            self.queue.add,
            self.store.accelerators,
            connect=lambda found: Client(found, may_write=elector.leads, agent=agent),
            uid=await self._hub_uid(client),
            placed=self.store.placed,
            patience=self.options.patience,
            providers=self.options.providers,
            works=client,
            namespaces=self.scope.everywhere,
        )
        hub = Hub(self.options.hub) if self.options.hub else None
        models = ModelInfo(client, self.queue.add, hub)
        applier = Applier(client, self.store, self.queue.add, {}, self._wrote)
        outward = self._outward(client)
        reconciler = Reconciler(
            self.store,
            applier,
            Recorder(client, self.clock.now),
            self.clock.now,
            Sizer(models),
            self.options.gateway,
            self.demands,
            self.queue.add,
            Rollouts(self.counting, outward.gates, self.store),
            outward.notifier,
            members,
            Placing(self.store, applier, members, self.clock.now, self.queue.add) if members.hub_uid else None,
            Autoscaling(self.loads, self.store),
            barred=barred.__contains__,
        )
        beside = [
            asyncio.create_task(self.demands.read(), name="demand"),
            asyncio.create_task(outward.notifier.run(), name="notifications"),
            asyncio.create_task(self.counting.run(), name="counting"),
            asyncio.create_task(self.loads.run(), name="loads"),
        ]
        for each in beside:  # cancelled at the end of this one, they must not end it: what led here is yet to be told
            each.add_done_callback(lambda task: None if task.cancelled() else self._ended(task))
        await self.demands.heard(HEARD)
        turn = asyncio.Lock()
        workers = [
            asyncio.create_task(work(self.queue, reconciler, self.metrics, turn), name=f"worker {number}")
            for number in range(self.options.workers)
        ]
        try:
            await elector.keep()
        finally:
            self.queue.close()
            _, unfinished = await asyncio.wait(workers, timeout=DRAIN)
            for task in unfinished:
                task.cancel()
            await outward.close()
            await members.close()
            for task in beside:
                task.cancel()
            await asyncio.wait(beside)
            await models.close()
            if hub is not None:
                await hub.close()

    async def _hub_uid(self, client: Client) -> str:
        """By which what is written into members is known to be ours. Waits for as long as the server is away."""
        wait = 0.5
        while True:
            try:
                found = await client.get(NAMESPACE, "", SYSTEM)
                return str(((found or {}).get("metadata") or {}).get("uid") or "")
            except KubeError as error:
                log.warning("cannot tell yet which cluster this is: %s", error)
                await asyncio.sleep(wait)
                wait = min(wait * 2, 10.0)

    def _wrote(self, before: Status, after: Status) -> None:
        self.metrics.count(tallies(before, after))

    def _urgent(self, key: Key) -> bool:
        """Whether somebody waits for it who gets nothing until it is done."""
        asked = self.store.asleep(key.namespace, key.name) and self.demands.asked(key)
        return self.store.unserved(key) or self.store.rolling(key) or asked

    def _outward(self, client: Client) -> Outward:
        return Outward.to(
            self.options.webhook_hosts,
            self.options.notify,
            kube=client,
            store=self.store,
            add=self.queue.add,
            now=self.clock.now,
            counted=lambda form, result: self.metrics.notified.labels(form, result).inc(),
        )

    def _demands(self) -> Demands:
        return Demands(
            self.gateways,
            asyncio.get_running_loop().time,
            self.queue.add,
            asleep=self.store.asleep,
            managed=self.store.managed,
            everything=self.store.all_keys,
            known=lambda key: self.store.parent(key) is not None,
            dropped=lambda what: self.metrics.dropped.labels(what).inc(),
        )

    def _task(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A task whose end, expected or not, ends the operator."""
        task = asyncio.create_task(coroutine, name=name)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and self.failure is None:
            if not isinstance(error, LeaseLost):
                log.error("%s failed", task.get_name(), exc_info=error)
            self.failure = error
        self.stop.set()

    def _healthy(self) -> bool:
        return self.failure is None

    def _bind_gauges(self, elector: Elector) -> None:
        self.metrics.depth.set_function(lambda: float(len(self.queue)))
        self.metrics.failing.set_function(lambda: float(self.queue.failing))
        self.metrics.leader.set_function(lambda: float(elector.leads()))
        self.metrics.gateways.labels("ready").set_function(lambda: float(len(self.demands.addresses)))
        self.metrics.gateways.labels("telling").set_function(lambda: float(self.demands.telling))
        self.metrics.tasks.set_function(lambda: float(len(asyncio.all_tasks())))  # asked for from within the loop
        for kind in (*WATCHED, *OPTIONAL):
            self.metrics.stored.labels(kind.kind).set_function(partial(self._stored, kind))

    def _stored(self, kind: Kind) -> float:
        return float(self.store.number(kind))
