"""What the engine tells of its ticks."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch
from prometheus_client import CollectorRegistry
from small_engine import CHECKPOINT, drive, images, samples, scores

from models.rows.rows import Answer, Condition, Query
from models.schema.specs import Ddim, Ddpm
from service.engine.engine import Engine
from service.engine.scheduler import SchedulerLimits
from service.errors import ComputationFailed
from service.kinds.likelihoods.task import ScoreResult
from service.kinds.samples.task import SampleResult
from service.rows import Served
from service.telemetry.engine import EngineMetrics
from service.telemetry.observers import EngineObserver
from service.telemetry.ticks import LaneName, Tick

DDPM, DDIM = LaneName(CHECKPOINT, "ddpm"), LaneName(CHECKPOINT, "ddim")


class Recorder(EngineObserver):
    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.begun: list[Counter[LaneName]] = []
        self.rests = 0

    def tick_began(self, tick: Tick) -> None:
        assert not tick.calls
        self.begun.append(Counter(tick.active))

    def tick_ended(self, tick: Tick) -> None:
        self.ticks.append(tick)

    def went_idle(self) -> None:
        self.rests += 1


@pytest.fixture
def told() -> Recorder:
    return Recorder()


def test_every_row_of_every_call_is_told(models: Mapping[str, Served], told: Recorder) -> None:
    engine = Engine(models, observer=told)
    jobs = [samples("a", Ddpm(steps=4), 3), samples("b", Ddim(steps=2), 5)]
    jobs.append(scores("c", images(2), probes=3))
    outcomes, _ = drive(engine, jobs)
    evaluations: Counter[tuple[str, str]] = Counter()
    for call in (call for tick in told.ticks for call in tick.calls):
        assert call.checkpoint == CHECKPOINT
        assert call.reason == "drained"
        for solver, rows in call.rows.items():
            evaluations[call.mode, solver] += rows
        assert call.work == sum(call.rows.values()) * (1 + 3 * (call.mode == "pull-back"))
    scored = outcomes["c"]
    assert isinstance(scored, ScoreResult)
    assert evaluations == {
        ("forward", "ddpm"): 4 * 3,
        ("forward", "ddim"): 2 * 5,
        ("pull-back", "adams"): sum(score.nfe for score in scored.scores),
    }
    assert [tick.active for tick in told.ticks] == told.begun
    first = told.ticks[0].calls[0]
    assert first.rows == {"ddpm": 3, "ddim": 5}


def test_rows_are_active_or_wait(models: Mapping[str, Served], told: Recorder) -> None:
    engine = Engine(models, SchedulerLimits(tick=4, resident=6), told)
    drive(engine, [samples("a", Ddpm(steps=2), 9)])
    for tick in told.ticks:
        assert tick.active[DDPM] <= 6
    assert (told.ticks[0].active[DDPM], told.ticks[0].waiting[DDPM]) == (4, 5)
    assert (told.ticks[-1].active[DDPM], told.ticks[-1].waiting[DDPM]) == (1, 0)


class _Hung:
    """Asks `before` instead of computing."""

    quantum = 1

    def __init__(self, inner: Served, before: Callable[[], None]) -> None:
        self._inner, self.config, self._before = inner.denoiser, inner.denoiser.config, before

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        self._before()
        return self._inner.evaluate(query, condition)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self._inner.encode(x)

    def condition(self, latent: torch.Tensor) -> Condition:
        return self._inner.condition(latent)


def test_rows_are_told_before_the_first_call_which_may_hang(served: Served) -> None:
    registry, seen = CollectorRegistry(), []
    labels = {"model": "small", "solver": "ddpm", "state": "active"}

    def look() -> None:
        seen.append(registry.get_sample_value("mulan_engine_rows", labels))

    hung = served._replace(denoiser=_Hung(served, look))
    metrics = EngineMetrics(registry, {CHECKPOINT: "small"})
    drive(Engine({CHECKPOINT: hung}, observer=metrics), [samples("a", Ddpm(steps=1), 3)])
    assert seen == [3]


def test_engines_add_to_one_figure(served: Served) -> None:
    registry, seen = CollectorRegistry(), []
    labels = {"model": "small", "solver": "ddpm", "state": "active"}
    one = EngineMetrics(registry, {CHECKPOINT: "small"})
    other = one.beside()

    def during() -> None:
        drive(Engine({CHECKPOINT: served}, observer=other), [samples("b", Ddpm(steps=1), 4)])
        seen.append(registry.get_sample_value("mulan_engine_rows", labels))
        other.tick_began(Tick(active=Counter({LaneName(CHECKPOINT, "ddpm"): 5})))
        seen.append(registry.get_sample_value("mulan_engine_rows", labels))
        other.went_idle()

    hung = served._replace(denoiser=_Hung(served, during))
    drive(Engine({CHECKPOINT: hung}, observer=one), [samples("a", Ddpm(steps=1), 3)])
    one.went_idle()
    seen.append(registry.get_sample_value("mulan_engine_rows", labels))
    assert seen == [7, 8, 0]
    assert registry.get_sample_value("mulan_engine_tick_seconds_count") == 2


@pytest.mark.parametrize(
    ("limits", "count", "reason"),
    [
        (SchedulerLimits(tick=64, resident=64), 9, "drained"),
        (SchedulerLimits(tick=4, resident=64), 9, "full"),
        (SchedulerLimits(tick=64, resident=4), 9, "drained"),
    ],
)
def test_a_call_says_why_it_is_no_fuller(
    models: Mapping[str, Served], told: Recorder, limits: SchedulerLimits, count: int, reason: str
) -> None:
    drive(Engine(models, limits, told), [samples("a", Ddpm(steps=2), count)])
    assert told.ticks[0].calls[0].reason == reason


def test_a_full_house_is_told_from_a_full_tick(
    models: Mapping[str, Served], told: Recorder
) -> None:
    engine = Engine(models, SchedulerLimits(tick=64, resident=4), told)
    drive(engine, [samples("a", Ddpm(steps=9), 4), samples("b", Ddim(steps=90), 9)])
    assert told.ticks[0].calls[0].reason == "resident"
    assert told.ticks[0].waiting[DDIM] == 9


def test_the_parts_are_the_whole(models: Mapping[str, Served], told: Recorder) -> None:
    drive(Engine(models, observer=told), [samples("a", Ddpm(steps=3), 2)])
    assert len(told.ticks) == 3
    for tick in told.ticks:
        assert sum(tick.parts.values()) == pytest.approx(tick.seconds)
        assert tick.parts["network"] > 0
        assert set(tick.parts) == {"plan", "begin", "ask", "network", "tell", "retire", "report"}


class _Fussy:
    """Raises for a call of more than `most` rows."""

    quantum = 1

    def __init__(self, inner: Served, most: int) -> None:
        self._inner, self.config, self._most = inner.denoiser, inner.denoiser.config, most

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        if len(query.x) > self._most:
            raise ValueError("too many")
        return self._inner.evaluate(query, condition)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self._inner.encode(x)

    def condition(self, latent: torch.Tensor) -> Condition:
        return self._inner.condition(latent)


def test_only_calls_that_came_back_are_told(served: Served, told: Recorder) -> None:
    fussy = served._replace(denoiser=_Fussy(served, most=3))
    engine = Engine({CHECKPOINT: fussy}, observer=told)
    jobs = [samples("good", Ddpm(steps=1), 3), samples("bad", Ddpm(steps=1), 4)]
    outcomes, _ = drive(engine, jobs)
    assert isinstance(outcomes["good"], SampleResult)
    assert isinstance(outcomes["bad"], ComputationFailed)
    assert [call.rows for tick in told.ticks for call in tick.calls] == [{"ddpm": 3}]


def test_deadlines_leave_no_rows(models: Mapping[str, Served], told: Recorder) -> None:
    engine = Engine(models, observer=told)
    engine.submit(replace(samples("a", Ddpm(steps=9), 2), deadline=1.0))
    engine.step(0.0)
    engine.step(2.0)
    assert told.ticks[-1].calls == []
    assert not told.ticks[-1].active
