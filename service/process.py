"""The skeleton of `mulan serve`, `mulan api` and `mulan worker`.

A process listens, starts, repeats its upkeep, and stops. Its port answers from the beginning:
`/livez` always succeeds, and `/readyz` once the process is ready. On SIGTERM or SIGINT, `/readyz`
fails and new requests are refused; running work may finish within `drain_s` seconds; then the
process exits with 0. A second signal ends the wait. A process that cannot go on stops in the same
order, and raises its error at the end.
"""

import asyncio
import gc
import logging
import signal
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar, NamedTuple

import uvloop
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from service.api.app import create_app
from service.api.context import Context
from service.api.gate import Gate
from service.callbacks.caller import Caller
from service.catalogue import Catalogue
from service.control import ModelControl
from service.errors import ServeError, StoreUnavailable
from service.fleet_control import FleetControl
from service.hosting import listen
from service.http.config import FLUSH_S
from service.http.server import Server
from service.setting_values import MEMORY
from service.settings import Settings
from service.store.base import Store
from service.store.opening import Shared, open_store
from service.store.quotas import Quotas
from service.store.retry import cancel_all
from service.store.subscription import CHANNELS
from service.store.telling import tell_each_minute
from service.telemetry.api import ApiMetrics
from service.telemetry.opening import open_tracing
from service.telemetry.registry import new_registry
from service.telemetry.store import StoreMetrics
from service.telemetry.tracing import Tracing

logger = logging.getLogger(__name__)

# New objects after which the collector looks for cycles among them; Python's default is 700.
COLLECT_AFTER = 5000


class Resources(NamedTuple):
    """The resources of a process. `began` is the time when it began, on the monotonic clock, in
    seconds; `shared` is None if the store is in memory."""

    settings: Settings
    began: float
    listener: socket.socket
    tracing: Tracing
    registry: CollectorRegistry
    store: Store
    shared: Shared | None


class Process(ABC):
    """A process, whose parts subclasses fill in. All methods belong to one event loop."""

    # The name of the process in traces.
    name: ClassVar[str]
    # The reason that a client receives before the process is ready.
    awaited: ClassVar[str] = "models are loading"
    # The channels of a store in Redis that the process listens to.
    channels: ClassVar[tuple[str, ...]] = CHANNELS
    # Seconds between two rounds of upkeep, and between two sweeps; 0 means to sweep every round.
    upkeep_every_s, sweep_every_s = 1.0, 0.0

    def __init__(self, resources: Resources) -> None:
        self.resources, self.settings = resources, resources.settings
        self.store, self.shared = resources.store, resources.shared
        self.gate, self.catalogue = Gate(self.awaited), Catalogue()
        self.stopping = asyncio.Event()
        # Unforeseen errors of upkeep, each of which is logged once.
        self._failures = set[str]()

    @abstractmethod
    def application(self) -> FastAPI:
        """Make the application that answers HTTP requests."""

    @abstractmethod
    async def start(self) -> None:
        """Prepare the first round of upkeep. Raises ServeError, which ends the process."""

    @abstractmethod
    async def upkeep(self) -> None:
        """Do one round of the work that is repeated.

        Raises StoreUnavailable, after which the next round tries again, and ServeError, which ends
        the process.
        """

    @abstractmethod
    async def finish(self) -> None:
        """Close what is open, after the last request has been answered and upkeep has ended."""

    def hurry(self) -> None:
        """End all waits of a stop, because a second signal has come."""
        self.gate.close()
        self.server.force_exit = True

    @property
    def url(self) -> str:
        """The address that the process listens on."""
        host, port = self.resources.listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def ready(self, title: str) -> None:
        """Let requests in, and log the models of the catalogue; `title` names the process there."""
        _spare_the_collector()
        self.gate.open()
        served = ", ".join(f"{model.name} on {model.execution}" for model in self.catalogue)
        elapsed = time.monotonic() - self.resources.began
        logger.info("ready after %.1f s: %s serves %s", elapsed, title, served)

    async def run(self) -> None:
        """Live from the first answer to the last. Raises ServeError."""
        self.server = Server(self.application(), self.settings, self.gate)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        serving = asyncio.create_task(self.server.serve([self.resources.listener]))
        working = asyncio.create_task(self._work())
        stopping = asyncio.create_task(self.stopping.wait())
        await asyncio.wait({serving, working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        self.stopping.set()
        await self._drain(working)
        await cancel_all(working)
        await self.finish()
        self.server.should_exit = True
        await serving
        with suppress(asyncio.CancelledError):
            await working

    async def _work(self) -> None:
        """Start, and repeat upkeep and sweeps until this task is cancelled."""
        await self.start()
        # A gap of more than half a lease between sweeps is taken for an outage of Redis.
        pause, sweep_at = min(self.upkeep_every_s, self.settings.lease_s / 3), 0.0
        while True:
            await self._try(self.upkeep)
            if (now := time.monotonic()) >= sweep_at:
                sweep_at = now + self.sweep_every_s
                await self._try(self.store.sweep)
            await asyncio.sleep(pause)

    async def _try(self, act: Callable[[], Awaitable[None]]) -> None:
        """Do one round of what is repeated. What it cannot read, or a store that is away, must not
        end the process. Raises ServeError."""
        try:
            await act()
        except ServeError:
            raise
        except StoreUnavailable as error:
            tell_each_minute(logger, logging.WARNING, str(error))
        except Exception as error:
            if repr(error) not in self._failures:
                self._failures.add(repr(error))
                logger.exception("upkeep failed, and goes on")

    async def _drain(self, working: asyncio.Task[None]) -> None:
        """Let requests finish in time, unless the work has ended, and then refuse the rest."""
        self.gate.drain()
        logger.info("stopping")
        idle = asyncio.create_task(self.gate.idle())
        drained = asyncio.FIRST_COMPLETED
        await asyncio.wait({idle, working}, timeout=self.settings.drain_s, return_when=drained)
        self.gate.close()
        await asyncio.wait({idle}, timeout=FLUSH_S)
        idle.cancel()

    def _on_signal(self) -> None:
        if self.stopping.is_set():
            self.hurry()
        self.stopping.set()


class ApiProcess(Process):
    """A process that answers the requests of the API."""

    def __init__(self, resources: Resources) -> None:
        super().__init__(resources)
        shared = resources.shared
        counters = (shared.shards, shared.observer) if shared else ()
        self.metrics = ApiMetrics.within(resources.registry)
        self.context = Context(
            self.settings,
            self.store,
            self.catalogue,
            self.gate,
            Quotas(self.settings, *counters),
            self.metrics,
            resources.tracing,
        )

    def application(self) -> FastAPI:
        return create_app(self.context)

    async def run(self) -> None:
        if not self.settings.callback_hosts:
            await super().run()
            return
        caller = Caller(self.store.callbacks, self.settings, self.metrics.callbacks)
        calling = asyncio.create_task(caller.run())
        calling.add_done_callback(_log_crash)
        try:
            await super().run()
        finally:
            await cancel_all(calling)
            await caller.close(FLUSH_S)

    def take_control(self, alone: ModelControl | None = None) -> None:
        """Let requests change models where the settings say so: those of a fleet, or without one
        those that are `alone`."""
        if not self.settings.model_control:
            return
        shared = self.shared
        control = FleetControl(shared.fleet, shared.orders, self.refresh) if shared else alone
        self.context = replace(self.context, control=control)

    async def refresh(self) -> None:
        """Bring the catalogue up to date with the fleet. Raises StoreUnavailable."""

    async def measure_queue(self, workers: Mapping[str, int]) -> None:
        """Show the load of the store, and how many workers serve each model, in the metrics.

        Raises StoreUnavailable.
        """
        self.metrics.queue.update_workers(workers, self.catalogue.unloaded)
        load = await self.store.load()
        self.metrics.queue.update(
            load.jobs, load.running, load.cost, load.drain_rate, load.dead_letters
        )
        self.metrics.queue.update_gaps(load.gaps, load.gap_s)


def _log_crash(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.critical("no more callbacks are made", exc_info=error)


def _spare_the_collector() -> None:
    """Let the garbage collector pass over what is there for good: libraries, models, routes.

    Its passes took a third of the processor time of a small request, because they also visit the
    objects of every request that is inside.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


def run(kind: type[Process], settings: Settings, port: int, began: float) -> None:
    """Run a process on a port until a signal comes; port 0 takes a free one.

    `began` is the time when the process began, on the monotonic clock, in seconds. Raises
    ServeError if the port cannot be had, Redis is not chosen or too old, or the process cannot go
    on.
    """
    with (
        listen(settings.host, port) as listener,
        open_tracing(settings.otlp_endpoint, kind.name) as tracing,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop,
    ):
        loop.run(host(kind, settings, began, listener, tracing))


async def host(
    kind: type[Process],
    settings: Settings,
    began: float,
    listener: socket.socket,
    tracing: Tracing,
) -> None:
    """Open the store for a process, and run the process. Raises ServeError."""
    registry = new_registry()
    observer = StoreMetrics(registry, up=settings.store == MEMORY)
    async with open_store(settings, observer, kind.channels) as (store, shared):
        await kind(Resources(settings, began, listener, tracing, registry, store, shared)).run()
