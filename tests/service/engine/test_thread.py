"""The engine's thread: commands in, events out, asleep without work."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from queue import Queue

import pytest
from small_engine import samples

from models.schema.specs import Ddpm
from service.engine.engine import Engine
from service.engine.events import Ended, Event
from service.engine.lane import Lane
from service.engine.thread import EngineThread
from service.errors import ComputationFailed
from service.kinds.samples.task import SampleResult
from service.rows import Served

SOON = 60.0


class Watched(Engine):
    """Counts its steps, and can be told to fail in one."""

    steps = 0
    fails = False
    hold: Callable[[], object] = staticmethod(lambda: None)

    def step(self, now: float) -> list[Event]:
        self.steps += 1
        self.hold()
        if self.fails:
            self.fails = False
            raise RuntimeError("a bug")
        return super().step(now)


class RunningJob:
    """A thread at work, with the ends that it tells of."""

    def __init__(self, engine: Watched) -> None:
        self.engine = engine
        self.ends: Queue[Ended] = Queue()
        self.thread = EngineThread(engine, self._keep)
        self.thread.start()

    def _keep(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Ended):
                self.ends.put(event)


@pytest.fixture
def running(models: Mapping[str, Served]) -> Iterator[RunningJob]:
    running = RunningJob(Watched(models))
    yield running
    running.engine.hold = lambda: None
    assert running.thread.stop(SOON)


def test_a_submitted_job_ends(running: RunningJob) -> None:
    running.thread.submit(samples("a", Ddpm(steps=3), 2))
    end = running.ends.get(timeout=SOON)
    assert end.job_id == "a"
    assert isinstance(end.outcome, SampleResult)


def test_without_work_it_sleeps(running: RunningJob) -> None:
    running.thread.submit(samples("a", Ddpm(steps=3), 2))
    running.ends.get(timeout=SOON)
    steps = running.engine.steps
    time.sleep(0.05)
    assert running.engine.steps == steps == 3
    assert running.thread.tick_age == 0.0
    assert running.thread.alive


def test_an_aborted_job_is_never_heard_of(running: RunningJob) -> None:
    running.thread.submit(samples("gone", Ddpm(steps=1000), 2))
    running.thread.abort("gone")
    running.thread.submit(samples("next", Ddpm(steps=2), 2))
    assert running.ends.get(timeout=SOON).job_id == "next"
    assert running.ends.empty()


def test_a_failure_of_the_engine_itself_ends_its_jobs_and_not_the_thread(
    running: RunningJob,
) -> None:
    running.engine.fails = True
    running.thread.submit(samples("unlucky", Ddpm(steps=3), 2))
    assert isinstance(running.ends.get(timeout=SOON).outcome, ComputationFailed)
    running.thread.submit(samples("lucky", Ddpm(steps=3), 2))
    assert isinstance(running.ends.get(timeout=SOON).outcome, SampleResult)


@pytest.mark.parametrize("dropped_by", ["abort", "deadline"])
def test_rows_that_cannot_be_dropped_end_all_jobs_and_not_the_thread(
    running: RunningJob, monkeypatch: pytest.MonkeyPatch, dropped_by: str
) -> None:
    """As when a device has no memory left to gather the other rows in."""

    def no_memory(lane: Lane, ids: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Lane, "discard", no_memory)
        running.thread.submit(samples("beside", Ddpm(steps=1000), 2))
        doomed = samples("doomed", Ddpm(steps=1000), 2)
        if dropped_by == "deadline":
            doomed = replace(doomed, deadline=time.time() + 0.1)
        running.thread.submit(doomed)
        if dropped_by == "abort":
            time.sleep(0.1)
            running.thread.abort("doomed")
        ends = {running.ends.get(timeout=SOON).job_id}
        if dropped_by == "deadline":
            ends.add(running.ends.get(timeout=SOON).job_id)
        assert "beside" in ends
    running.thread.submit(samples("lucky", Ddpm(steps=3), 2))
    assert isinstance(running.ends.get(timeout=SOON).outcome, SampleResult)


def test_a_tick_that_hangs_grows_old(running: RunningJob) -> None:
    release = threading.Event()
    running.engine.hold = release.wait
    running.thread.submit(samples("a", Ddpm(steps=1), 1))
    until = time.monotonic() + SOON
    while running.thread.tick_age < 0.02 and time.monotonic() < until:
        time.sleep(0.005)
    assert 0.02 <= running.thread.tick_age < SOON
    release.set()
    running.ends.get(timeout=SOON)


def test_it_stops_with_work_left(models: Mapping[str, Served]) -> None:
    running = RunningJob(Watched(models))
    running.thread.submit(samples("long", Ddpm(steps=1000), 64))
    assert running.thread.stop(SOON)
    assert not running.thread.alive
    assert running.ends.empty()
