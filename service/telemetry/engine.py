"""Where a tick's time goes, how full its calls are, and why they are no fuller."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.telemetry.observers import EngineObserver
from service.telemetry.registry import PREFIX, SECONDS
from service.telemetry.ticks import Call, LaneName, Tick

ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_SHA_DIGITS = 12


class EngineMetrics(EngineObserver):
    """`names`: what the checkpoints are called, by SHA-256."""

    def __init__(self, registry: CollectorRegistry, names: Mapping[str, str]) -> None:
        self._names = names
        self._rows = Gauge(
            "engine_rows",
            "Rows of the engine's jobs that have begun and not ended, and that wait to begin.",
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
            "Network calls, by why their tick took no more rows.",
            ("model", "mode", "reason"),
            namespace=PREFIX,
            registry=registry,
        )
        self._evaluations = Counter(
            "row_evaluations_total",
            "Network evaluations of one row.",
            ("model", "checkpoint", "solver"),
            namespace=PREFIX,
            registry=registry,
        )
        self._work = Counter(
            "work_total",
            "Row-evaluations at the scheduler's prices: each costs 1, and 1 more for each probe.",
            ("model",),
            namespace=PREFIX,
            registry=registry,
        )
        self._tick = Histogram(
            "engine_tick_seconds",
            "One tick: every row that runs is evaluated once.",
            namespace=PREFIX,
            registry=registry,
            buckets=SECONDS,
        )
        self._parts = Counter(
            "engine_tick_part_seconds_total",
            "Seconds of ticks spent on each part.",
            ("part",),
            namespace=PREFIX,
            registry=registry,
        )
        self._lanes: set[LaneName] = set()

    def began(self, tick: Tick) -> None:
        self._stand(tick.active, tick.waiting)

    def ticked(self, tick: Tick) -> None:
        if not tick.calls:
            return
        self._tick.observe(tick.seconds)
        for part, seconds in tick.parts.items():
            self._parts.labels(part).inc(seconds)
        for call in tick.calls:
            self._called(call)

    def rested(self) -> None:
        self._stand({}, {})

    def _called(self, call: Call) -> None:
        name, checkpoint = self._names[call.checkpoint], call.checkpoint[:_SHA_DIGITS]
        self._batch.labels(name, call.mode).observe(sum(call.rows.values()))
        self._calls.labels(name, call.mode, call.reason).inc()
        self._work.labels(name).inc(call.work)
        for solver, rows in call.rows.items():
            self._evaluations.labels(name, checkpoint, solver).inc(rows)

    def _stand(self, active: Mapping[LaneName, int], waiting: Mapping[LaneName, int]) -> None:
        """Lanes that are gone stay, with no rows."""
        self._lanes |= active.keys() | waiting.keys()
        for lane in self._lanes:
            labels = self._names[lane.checkpoint], lane.solver
            self._rows.labels(*labels, "active").set(active.get(lane, 0))
            self._rows.labels(*labels, "waiting").set(waiting.get(lane, 0))
