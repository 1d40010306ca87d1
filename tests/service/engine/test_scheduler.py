"""The scheduler in virtual time: what it promises to every job, whatever comes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.call_price import CallSizes
from service.engine.ids import by_job, row_ids, rows_of
from service.engine.scheduler import Scheduler, SchedulerLimits


@dataclass(frozen=True)
class Request:
    """A job to come."""

    rows: int
    evaluations: int
    group: int = 1
    weight: int = 1
    priority: int = 0
    owner: str = ""


class Simulation:
    """Runs a scheduler tick by tick, and watches its promises."""

    def __init__(self, limits: SchedulerLimits, begin_price: float = 0.0) -> None:
        self.limits, self.scheduler, self.begin_price = limits, Scheduler(limits), begin_price
        self.requests: dict[int, Request] = {}
        self.told: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self.begun: dict[int, int] = defaultdict(int)
        self.ended: dict[int, int] = {}
        self.ticks = 0

    def add(self, request: Request) -> int:
        job = self.scheduler.add(
            *(request.rows, request.evaluations, request.group, request.weight),
            request.priority,
            owner=request.owner,
        )
        self.requests[job] = request
        return job

    def tick(self) -> dict[int, int]:
        """One tick; the rows run of each job."""
        plan = self.scheduler.plan(begin_price=self.begin_price)
        for job, first, last in plan.admissions:
            assert first == self.begun[job] < last <= self.requests[job].rows
            assert (last - first) % self.requests[job].group == 0
            self.begun[job] = last
        counts = {job: len(places) for job, places in by_job(plan.run)}
        price = sum(self.requests[job].weight * rows for job, rows in counts.items())
        # Beyond the tick's price goes no more than one dear row by urgency and one by savings.
        dearest = max((self.requests[job].weight for job in counts), default=0)
        reserve = self.limits.reserve * self.limits.tick
        assert price <= max(self.limits.tick, 2 * dearest + reserve)
        assert len(plan.run) <= self.limits.tick + 1
        assert len(np.unique(plan.run)) == len(plan.run)
        for job, places in by_job(plan.run):
            for row in rows_of(plan.run[places]):
                assert row < self.begun[job]
                self.told[job][int(row)] += 1
        ended = plan.run[self.scheduler.record_evaluations(plan.run)]
        for job, _ in by_job(ended):
            if sum(self.told[job].values()) == self._total(job):
                self.scheduler.drop(job)
                self.ended[job] = self.ticks
        self.ticks += 1
        return counts

    def run(self, arrivals: Mapping[int, Sequence[Request]] | None = None) -> None:
        """Tick until every job has ended."""
        pending = dict(arrivals or {})
        while pending or len(self.scheduler):
            for request in pending.pop(self.ticks, ()):
                self.add(request)
            self.tick()
            assert self.ticks < 100_000, "the work does not end"

    def _total(self, job: int) -> int:
        return self.requests[job].rows * self.requests[job].evaluations


requests = st.builds(
    lambda groups, group, evaluations, weight, priority: Request(
        groups * group, evaluations, group, weight, priority
    ),
    st.integers(1, 20),
    st.integers(1, 5),
    st.integers(1, 12),
    st.sampled_from([1, 1, 3, 9]),
    st.integers(0, 2),
)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.integers(0, 20), st.lists(requests, max_size=4), max_size=5),
    st.integers(1, 24),
    st.integers(1, 40),
    st.sampled_from([0.0, 0.125, 0.5]),
    st.sampled_from([0.0, 0.1, 1.0]),
)
def test_every_row_runs_exactly_as_often_as_it_must(
    arrivals: dict[int, list[Request]],
    tick: int,
    resident: int,
    reserve: float,
    begin_price: float,
) -> None:
    simulation = Simulation(SchedulerLimits(tick, resident, reserve), begin_price)
    simulation.run(arrivals)
    assert simulation.ended.keys() == simulation.requests.keys()
    for job, request in simulation.requests.items():
        assert dict(simulation.told[job]) == dict.fromkeys(range(request.rows), request.evaluations)


def test_dear_rows_run_on_where_an_urgent_job_finds_no_room() -> None:
    simulation = Simulation(SchedulerLimits(tick=4, resident=2, reserve=0.0))
    simulation.add(Request(rows=2, evaluations=3, weight=9))
    simulation.tick()
    simulation.add(Request(rows=2, evaluations=1, weight=9, priority=1))
    simulation.run()
    assert len(simulation.ended) == 2


def test_a_short_job_finds_room_in_a_house_full_of_long_ones() -> None:
    simulation = Simulation(SchedulerLimits())
    for rank in range(9):
        simulation.add(Request(rows=64, evaluations=1000 - rank))
        simulation.tick()
    short = simulation.add(Request(rows=1, evaluations=20))
    came = simulation.ticks
    while short not in simulation.ended:
        simulation.tick()
    assert simulation.ended[short] - came <= 20


def test_no_tick_is_left_unfilled_while_there_is_work() -> None:
    simulation = Simulation(SchedulerLimits(tick=64))
    for rows, evaluations in ((64, 100), (7, 20), (500, 5), (1, 50)):
        simulation.add(Request(rows, evaluations))
    for _ in range(50):
        assert sum(simulation.tick().values()) == 64


def test_a_short_job_does_not_wait_for_a_long_one() -> None:
    simulation = Simulation(SchedulerLimits(tick=64))
    long = simulation.add(Request(rows=64, evaluations=1000))
    for _ in range(100):
        simulation.tick()
    short = simulation.add(Request(rows=16, evaluations=20))
    simulation.run()
    assert simulation.ended[short] - 100 <= 20
    assert simulation.ended[long] <= 1000 + 20


def test_the_oldest_job_advances_under_an_endless_stream_of_short_ones() -> None:
    simulation = Simulation(SchedulerLimits(tick=64, reserve=0.125))
    long = simulation.add(Request(rows=64, evaluations=40))
    while long not in simulation.ended and simulation.ticks < 1000:
        simulation.add(Request(rows=64, evaluations=1))
        simulation.tick()
    # An eighth of each tick is 8 rows.
    assert simulation.ended[long] <= 64 * 40 / 8


def test_a_dear_row_saves_its_share_up_and_starves_nobody() -> None:
    simulation = Simulation(SchedulerLimits(tick=64, reserve=0.125))
    dear = simulation.add(Request(rows=1, evaluations=10, weight=65))
    cheap = simulation.add(Request(rows=32, evaluations=10))
    simulation.run()
    assert simulation.ended[cheap] <= 12
    assert simulation.ended[dear] <= 25


def test_priority_goes_before_length() -> None:
    simulation = Simulation(SchedulerLimits(tick=8, reserve=0))
    simulation.add(Request(rows=8, evaluations=2))
    urgent = simulation.add(Request(rows=8, evaluations=30, priority=1))
    for _ in range(30):
        assert simulation.tick() == {urgent: 8}


def test_a_large_job_enters_in_pieces() -> None:
    scheduler = Scheduler(SchedulerLimits(tick=64, resident=96))
    scheduler.add(rows=500, evaluations=3)
    begun = []
    while sum(begun) < 500:
        plan = scheduler.plan()
        begun += [last - first for _, first, last in plan.admissions]
        assert len(plan.run) == 64 or sum(begun) == 500
        scheduler.record_evaluations(plan.run)
    assert max(begun) <= 64


def test_rows_inside_are_bounded_and_postponed_ones_count() -> None:
    """Only the most urgent job goes beyond the bound; the next finds no room."""
    scheduler = Scheduler(SchedulerLimits(tick=12, resident=12, reserve=0))
    long = scheduler.add(rows=8, evaluations=100)
    scheduler.record_evaluations(scheduler.plan().run)
    short, middling = scheduler.add(rows=8, evaluations=10), scheduler.add(rows=8, evaluations=50)
    plan = scheduler.plan()
    assert plan.admissions == [(short, 0, 8)]
    assert {job: len(places) for job, places in by_job(plan.run)} == {short: 8, long: 4}
    assert middling not in {job for job, _ in by_job(plan.run)}


def test_a_group_begins_as_a_whole_even_when_only_a_part_can_run() -> None:
    scheduler = Scheduler(SchedulerLimits(tick=4, resident=4))
    scheduler.add(rows=20, evaluations=2, group=10)
    plan = scheduler.plan()
    assert plan.admissions == [(0, 0, 10)]
    assert len(plan.run) == 4


def test_adaptive_rows_end_when_their_progress_is_whole() -> None:
    scheduler = Scheduler()
    job = scheduler.add(rows=2, evaluations=50)
    run = scheduler.plan().run
    assert not scheduler.record_evaluations(run, np.array([0.5, 0.0])).any()
    assert scheduler.record_evaluations(run, np.array([1.0, 0.1])).tolist() == [True, False]
    assert scheduler.plan().run.tolist() == row_ids(job, np.array([1])).tolist()


def test_an_adaptive_row_is_expected_to_go_on_at_its_own_pace() -> None:
    scheduler = Scheduler()
    job = scheduler.add(rows=1, evaluations=50)
    run = scheduler.plan().run
    for made in range(1, 201):
        scheduler.record_evaluations(run, np.array([made / 400]))
    # Halfway after 200 evaluations, it will need some 200 more, not the 25 it began with.
    assert 0.55 < scheduler.progress(job) < 0.65


def test_progress_is_the_share_of_evaluations() -> None:
    scheduler = Scheduler(SchedulerLimits(tick=4))
    job = scheduler.add(rows=8, evaluations=5)
    for tick in range(1, 10):
        scheduler.record_evaluations(scheduler.plan().run)
        assert scheduler.progress(job) == pytest.approx(tick / 10)


def test_only_jobs_past_their_deadline_are_expired() -> None:
    scheduler = Scheduler()
    late = scheduler.add(rows=1, evaluations=5, deadline=10.0)
    scheduler.add(rows=1, evaluations=5, deadline=20.0)
    assert scheduler.expired(9.9) == []
    assert scheduler.expired(10.0) == [late]


def test_a_dropped_job_leaves_no_rows_behind() -> None:
    scheduler = Scheduler(SchedulerLimits(tick=8))
    first, second = scheduler.add(rows=8, evaluations=5), scheduler.add(rows=8, evaluations=9)
    scheduler.record_evaluations(scheduler.plan().run)
    scheduler.drop(first)
    assert {job: len(places) for job, places in by_job(scheduler.plan().run)} == {second: 8}


def test_owners_share_each_tick_whatever_their_priorities() -> None:
    simulation = Simulation(SchedulerLimits(tick=16))
    flood = [simulation.add(Request(64, 100, priority=1, owner="flood")) for _ in range(4)]
    other = simulation.add(Request(64, 100, priority=-1, owner="other"))
    for _ in range(20):
        counts = simulation.tick()
        assert counts[other] >= 7
        assert sum(counts[job] for job in flood if job in counts) >= 7


def test_an_owner_leaves_to_others_what_it_does_not_need() -> None:
    simulation = Simulation(SchedulerLimits(tick=16))
    simulation.add(Request(64, 100, owner="large"))
    small = simulation.add(Request(1, 100, owner="small"))
    for _ in range(20):
        counts = simulation.tick()
        assert counts[small] == 1
        assert sum(counts.values()) >= 16


def test_many_owners_of_dear_rows_all_advance() -> None:
    """A row costs more than an owner's share of a tick: shares are saved up for it."""
    simulation = Simulation(SchedulerLimits(tick=8))
    jobs = [simulation.add(Request(2, 30, weight=5, owner=str(owner))) for owner in range(12)]
    for _ in range(120):
        simulation.tick()
    least, most = (pick(sum(simulation.told[job].values()) for job in jobs) for pick in (min, max))
    assert least >= 5
    assert most <= 4 * least


def test_an_owner_finds_room_in_a_house_that_another_has_filled() -> None:
    simulation = Simulation(SchedulerLimits(tick=16, resident=32))
    simulation.add(Request(64, 10, priority=1, owner="flood"))
    simulation.tick()
    simulation.tick()
    other = simulation.add(Request(4, 50, priority=-1, owner="other"))
    assert simulation.tick()[other] == 4


def test_an_owner_pays_for_what_was_left_over_no_longer_than_a_few_ticks() -> None:
    """A crowd comes, which is more urgent, from an owner who left the machine to another."""
    simulation = Simulation(SchedulerLimits(tick=64, reserve=0.0))
    large = simulation.add(Request(64, 100_000, owner="large"))
    simulation.add(Request(1, 100_000, owner="small"))
    for _ in range(100):
        simulation.tick()
    simulation.add(Request(1000, 10, owner="small"))
    counts = [simulation.tick() for _ in range(20)]
    assert all(sum(count.values()) == 64 for count in counts)
    assert all(count[large] == 32 for count in counts[3:])


def test_owners_of_rows_that_cost_more_than_a_tick_both_advance() -> None:
    scheduler = Scheduler(SchedulerLimits(tick=64))
    jobs = [scheduler.add(200, 1000, weight=65, owner=owner) for owner in "ab"]
    counts = [rows_run(scheduler) for _ in range(100)]
    assert all(counts)
    assert all(any(job in count for count in counts) for job in jobs)


def rows_run(scheduler: Scheduler, **call: int) -> dict[int, int]:
    """The rows of each job in the next tick, which is recorded."""
    run = scheduler.plan(CallSizes(**call)).run
    scheduler.record_evaluations(run)
    return {job: len(places) for job, places in by_job(run)}


def test_long_jobs_fill_a_call_beside_short_ones_up_to_its_efficient_size() -> None:
    scheduler = Scheduler(SchedulerLimits(tick=64, reserve=0.0))
    long = scheduler.add(rows=64, evaluations=1000)
    assert rows_run(scheduler, efficient=20) == {long: 64}
    short = scheduler.add(rows=2, evaluations=20)
    assert rows_run(scheduler, efficient=20) == {long: 18, short: 2}
    assert rows_run(scheduler) == {long: 62, short: 2}
    crowd = [scheduler.add(rows=1, evaluations=20) for _ in range(30)]
    assert rows_run(scheduler, efficient=20) == {short: 2, **dict.fromkeys(crowd, 1)}


@pytest.mark.parametrize(("short", "run"), [(1, 16), (14, 16), (17, 16), (27, 32)])
def test_long_jobs_fill_a_quantum_that_short_ones_have_begun(short: int, run: int) -> None:
    scheduler = Scheduler(SchedulerLimits(tick=64, reserve=0.0))
    scheduler.add(rows=64, evaluations=1000)
    for _ in range(short):
        scheduler.add(rows=1, evaluations=20)
    assert sum(rows_run(scheduler, quantum=16, efficient=8).values()) == run


def test_jobs_of_one_size_share_a_full_tick() -> None:
    scheduler = Scheduler(SchedulerLimits(tick=64, reserve=0.0))
    jobs = [scheduler.add(rows=1, evaluations=20) for _ in range(100)]
    assert rows_run(scheduler, efficient=20) == dict.fromkeys(jobs[:64], 1)


@pytest.mark.parametrize(
    ("rows", "run"), [(7, 7), (16, 16), (17, 16), (24, 16), (25, 25), (40, 32)]
)
def test_a_few_rows_over_a_quantum_wait(rows: int, run: int) -> None:
    scheduler = Scheduler()
    for _ in range(rows):
        scheduler.add(rows=1, evaluations=20)
    assert sum(rows_run(scheduler, quantum=16).values()) == run
