"""Counts of torch's operations, by the part of a tick that makes them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, get_args

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from models.rows.denoiser import Denoiser
from models.rows.rows import Answer, Condition, Query
from service.telemetry.observers import EngineObserver
from service.telemetry.ticks import Tick, TickPart

PARTS: tuple[TickPart, ...] = get_args(TickPart)
NETWORK: TickPart = "network"


class MarkedDenoiser:
    """A denoiser whose evaluations are marked in traces, and say that the network runs."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self.config, self.quantum = denoiser.config, denoiser.quantum

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        with torch.profiler.record_function(NETWORK):
            return self._denoiser.evaluate(query, condition)

    def encode(self, x: Tensor) -> Tensor:
        return self._denoiser.encode(x)

    def condition(self, latent: Tensor) -> Condition:
        return self._denoiser.condition(latent)


class OperationCount(TorchDispatchMode, EngineObserver):  # type: ignore[no-untyped-call]
    """The number of operations in each part of the ticks that it observes, and in all.

    A view is an operation too: the host pays for it as for any other. Laps come at the end of a
    part, so operations are counted for the first part that takes a lap after them.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.parts: Counter[TickPart] = Counter()
        self.outside: Counter[str] = Counter()
        self._pending: Counter[str] = Counter()
        self._tick: Tick | None = None
        self._seen: dict[TickPart, float] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self._settle()
        self._pending[str(func.overloadpacket)] += 1
        return func(*args, **(kwargs or {}))

    def tick_began(self, tick: Tick) -> None:
        self._give("begin")
        self._tick, self._seen = tick, dict(tick.parts)

    def tick_ended(self, tick: Tick) -> None:
        self._settle()
        self._give("report")
        self._tick = None

    def _settle(self) -> None:
        """Give what is pending to the part that has taken a lap since, if one has."""
        if self._tick is None or self._tick.parts == self._seen:
            return
        parts = self._tick.parts
        changed = [part for part in PARTS if parts.get(part) != self._seen.get(part)]
        self._give(changed[0])
        self._seen = dict(parts)

    def _give(self, part: TickPart) -> None:
        self.parts[part] += self._pending.total()
        if part != NETWORK:
            self.outside += self._pending
        self._pending.clear()
