"""Rows that have just come wait a little, so that several jobs begin as one."""

import pytest

from service.engine.scheduler import LONGEST_HOLD, Scheduler, SchedulerLimits


def busy(jobs: int = 1, owner: str = "") -> Scheduler:
    """A scheduler with so many jobs of one row that run."""
    scheduler = Scheduler(SchedulerLimits(reserve=0.0))
    for _ in range(jobs):
        scheduler.add(rows=1, evaluations=100, owner=owner)
    tick(scheduler, 0.0)
    return scheduler


def tick(scheduler: Scheduler, begin_price: float) -> list[int]:
    """Run one tick, and return the jobs that began in it."""
    plan = scheduler.plan(begin_price=begin_price)
    scheduler.record_evaluations(plan.run)
    return [admission.job for admission in plan.admissions]


def test_a_lone_job_begins_at_once_where_a_begin_is_cheap() -> None:
    scheduler = busy(jobs=10)
    job = scheduler.add(rows=1, evaluations=20)
    assert tick(scheduler, begin_price=0.05) == [job]


def test_jobs_begin_once_their_waiting_has_cost_as_much_as_a_begin() -> None:
    scheduler = busy(jobs=30)
    # A begin would cost three ticks of a job, and more jobs as these come.
    first = scheduler.add(rows=1, evaluations=20)
    assert tick(scheduler, begin_price=0.1) == []
    second = scheduler.add(rows=1, evaluations=20)
    assert tick(scheduler, begin_price=0.1) == []
    assert tick(scheduler, begin_price=0.1) == [first, second]


def test_several_jobs_do_not_wait_for_more() -> None:
    scheduler = busy(jobs=30)
    jobs = [scheduler.add(rows=1, evaluations=20) for _ in range(4)]
    assert tick(scheduler, begin_price=0.1) == jobs


def test_nothing_is_held_where_nothing_runs() -> None:
    scheduler = Scheduler()
    job = scheduler.add(rows=1, evaluations=20)
    assert tick(scheduler, begin_price=100.0) == [job]


@pytest.mark.parametrize("begin_price", [1.0, 100.0])
def test_nothing_is_held_for_long(begin_price: float) -> None:
    scheduler = busy(jobs=30)
    job = scheduler.add(rows=1, evaluations=20)
    began = [tick(scheduler, begin_price) for _ in range(LONGEST_HOLD + 1)]
    assert began == [[]] * LONGEST_HOLD + [[job]]


def test_the_rest_of_a_job_may_be_held_while_its_first_rows_run_on() -> None:
    scheduler = Scheduler(SchedulerLimits(tick=5, reserve=0.0))
    first, second, large = (scheduler.add(rows=rows, evaluations=50) for rows in (1, 1, 6))
    assert tick(scheduler, 0.0) == [first, second, large]
    scheduler.drop(first)
    plan = scheduler.plan(begin_price=100.0)
    assert len(plan.run) == 4
    assert plan.admissions == []
    assert tick(scheduler, 0.0) == [large]


def test_an_owner_does_not_pay_for_rows_that_were_held() -> None:
    scheduler = busy(jobs=30, owner="a")
    scheduler.add(rows=1, evaluations=20, owner="b")
    paid = []
    for _ in range(LONGEST_HOLD):
        assert tick(scheduler, begin_price=1.0) == []
        paid.append(dict(scheduler._credits))
    assert all(saved["b"] >= saved["a"] for saved in paid)
