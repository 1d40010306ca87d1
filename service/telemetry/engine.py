"""Metrics of the engine: where the time of ticks goes, how full calls are, and why no fuller."""

from collections.abc import Mapping
from copy import copy

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.telemetry.observers import EngineObserver
from service.telemetry.registry import PREFIX, SECONDS
from service.telemetry.ticks import LaneName, NetworkCall, Tick

ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_SHA_DIGITS = 12


class EngineMetrics(EngineObserver):
    """Metrics of an engine. `names` has the name of each checkpoint, by SHA-256."""

    def __init__(self, registry: CollectorRegistry, names: Mapping[str, str]) -> None:
        self._names = names
        self._rows = Gauge(
            "engine_rows",
            "Rows inside the engine: active ones have begun and not ended, others wait to begin.",
            ("model", "solver", "state"),
            namespace=PREFIX,
            registry=registry,
        )
        self._batch = Histogram(
            "engine_batch_rows",
            "Rows in one network call.",
            ("model", "mode"),
            namespace=PREFIX,
            registry=registry,
            buckets=ROWS,
        )
        self._calls = Counter(
            "engine_calls_total",
            "Network calls, by the reason why their tick took no more rows.",
            ("model", "mode", "reason"),
            namespace=PREFIX,
            registry=registry,
        )
        self._evaluations = Counter(
            "row_evaluations_total",
            "Network evaluations, each of one row.",
            ("model", "checkpoint", "solver"),
            namespace=PREFIX,
            registry=registry,
        )
        self._work = Counter(
            "work_total",
            "Row-evaluations at the scheduler's price: each costs 1, and 1 more for each probe.",
            ("model",),
            namespace=PREFIX,
            registry=registry,
        )
        self._tick = Histogram(
            "engine_tick_seconds",
            "Duration of a tick, in which every row that runs is evaluated once.",
            namespace=PREFIX,
            registry=registry,
            buckets=SECONDS,
        )
        self._parts = Counter(
            "engine_tick_part_seconds_total",
            "Time that ticks spent on each of their parts.",
            ("part",),
            namespace=PREFIX,
            registry=registry,
        )
        self._shown: dict[tuple[LaneName, str], int] = {}

    def beside(self) -> "EngineMetrics":
        other = copy(self)
        other._shown = {}
        return other

    def tick_began(self, tick: Tick) -> None:
        self._set_rows(tick.active, tick.waiting)

    def tick_ended(self, tick: Tick) -> None:
        if not tick.calls:
            return
        self._tick.observe(tick.seconds)
        for part, seconds in tick.parts.items():
            self._parts.labels(part).inc(seconds)
        for call in tick.calls:
            self._record(call)

    def went_idle(self) -> None:
        self._set_rows({}, {})

    def _record(self, call: NetworkCall) -> None:
        name, checkpoint = self._names[call.checkpoint], call.checkpoint[:_SHA_DIGITS]
        self._batch.labels(name, call.mode).observe(sum(call.rows.values()))
        self._calls.labels(name, call.mode, call.reason).inc()
        self._work.labels(name).inc(call.work)
        for solver, rows in call.rows.items():
            self._evaluations.labels(name, checkpoint, solver).inc(rows)

    def _set_rows(self, active: Mapping[LaneName, int], waiting: Mapping[LaneName, int]) -> None:
        """Show the rows of each lane; a lane that is gone stays, with none."""
        for lane in active.keys() | waiting.keys() | {lane for lane, _ in self._shown}:
            labels = self._names[lane.checkpoint], lane.solver
            for state, lanes in (("active", active), ("waiting", waiting)):
                # Other engines add to the same gauge.
                rows, before = lanes.get(lane, 0), self._shown.get((lane, state), 0)
                self._rows.labels(*labels, state).inc(rows - before)
                self._shown[lane, state] = rows
