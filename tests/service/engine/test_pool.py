"""Several engines behind one worker: where a job goes, and what follows it there."""

from typing import Any, cast

from service.engine.pool import EnginePool
from service.engine.thread import EngineThread
from service.jobs import Job


class Recorded:
    """An engine thread that records what it is asked."""

    def __init__(self, tick_age: float = 0.0, alive: bool = True, stops: bool = True) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.tick_age, self.alive, self._stops = tick_age, alive, stops

    def start(self) -> None:
        self.asked.append(("start",))

    def submit(self, job: Job) -> None:
        self.asked.append(("submit", job.id))

    def abort(self, job_id: str) -> None:
        self.asked.append(("abort", job_id))

    def watch(self, job_id: str, watched: bool) -> None:
        self.asked.append(("watch", job_id, watched))

    def stop(self, timeout: float) -> bool:
        self.asked.append(("stop", timeout))
        return self._stops


def pool(*threads: Recorded) -> EnginePool:
    return EnginePool([cast(EngineThread, thread) for thread in threads])


def job(name: str, cost: int) -> Job:
    return Job(name, "checkpoint", cast(Any, None), deadline=0.0, created_at=0.0, cost=cost)


def test_a_job_goes_where_the_least_is_to_do_and_what_concerns_it_follows() -> None:
    one, other = Recorded(), Recorded()
    engines = pool(one, other)
    engines.submit(job("long", 1000))
    engines.submit(job("short", 10))
    engines.submit(job("shorter", 1))
    assert one.asked == [("submit", "long")]
    assert other.asked == [("submit", "short"), ("submit", "shorter")]
    engines.ended("long")
    engines.submit(job("next", 20))
    engines.watch("short", True)
    engines.abort("short")
    engines.abort("short")
    engines.watch("long", True)
    engines.abort("long")
    assert one.asked[1:] == [("submit", "next")]
    assert other.asked[2:] == [("watch", "short", True), ("abort", "short")]


def test_one_that_hangs_or_dies_shows() -> None:
    fine, slow = Recorded(), Recorded(tick_age=7.0)
    assert pool(fine, slow).tick_age == 7.0
    assert pool(fine, slow).alive
    assert not pool(fine, Recorded(alive=False)).alive


def test_all_are_started_and_stopped_whatever_one_does() -> None:
    stuck, fine = Recorded(stops=False), Recorded()
    engines = pool(stuck, fine)
    engines.start()
    assert not engines.stop(3.0)
    assert stuck.asked == fine.asked == [("start",), ("stop", 3.0)]
    assert pool(fine, Recorded()).stop(1.0)
