"""The parts of an API process that its routes use."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Path, Request

from service.api.gate import Gate
from service.api.open_inference.statistics import Statistics
from service.catalogue import Catalogue
from service.control import ModelControl
from service.settings import Settings
from service.store.base import Store
from service.store.quotas import Quotas
from service.telemetry.api import ApiMetrics
from service.telemetry.tracing import Tracing


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of one API process. `background_tasks` work for clients who have been answered or
    have left. `control` is None where requests change no models."""

    settings: Settings
    store: Store
    catalogue: Catalogue
    gate: Gate
    quotas: Quotas
    metrics: ApiMetrics = field(default_factory=ApiMetrics.alone)
    tracing: Tracing = field(default_factory=Tracing)
    control: ModelControl | None = None
    statistics: Statistics = field(default_factory=Statistics)
    background_tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def run_in_background(self, coroutine: Coroutine[None, None, None]) -> None:
        """Run a coroutine without waiting for it."""
        task = asyncio.create_task(coroutine)
        self.background_tasks.add(task)
        task.add_done_callback(self.background_tasks.discard)


# FastAPI would run a function that is not asynchronous on another thread.
async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


InContext = Annotated[Context, Depends(_context)]
JobId = Annotated[str, Path(description="Id of a job, as its creation returned it.")]
