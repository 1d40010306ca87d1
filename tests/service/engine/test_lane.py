"""A lane moves rows about; no row may notice."""

from typing import Any

import numpy as np
import pytest
import torch
from small_engine import short

from models.rows.noise import Stream, normal, rademacher
from models.rows.rows import QUANTUM, NoiseKey, Query, pad, take
from models.schema.specs import Ddpm
from models.solvers import SAMPLERS
from models.solvers.base import Problem
from models.work.sampling import sample_problem
from models.work.solve import solve
from service.engine.lane import Lane, NetworkInput, evaluate
from service.rows import Served


def problem(served: Served, name: str, rows: int) -> Problem[Any]:
    return sample_problem(served.denoiser, short(name), 3, torch.arange(rows))


def advance(lane: Lane, served: Served, ids: np.ndarray[Any, np.dtype[np.int64]]) -> None:
    batch = lane.batch(lane.among(ids))
    (answer,) = evaluate(served.denoiser, [lane.ask(batch)])
    lane.write_back(lane.tell(batch, answer))


@pytest.mark.parametrize("name", SAMPLERS)
def test_rows_that_come_go_and_wait_end_as_in_a_plain_loop(served: Served, name: str) -> None:
    solver, whole = SAMPLERS[name], problem(served, name, 40)
    padded = pad(whole, QUANTUM)
    expected = solver.sample(padded, solve(solver, padded, served.denoiser)).x
    evaluations = short(name).evaluations

    lane = Lane(solver, False, np.arange(5), take(whole, torch.arange(5)))
    told = dict.fromkeys(range(40), 0)
    chance = np.random.default_rng(0)
    seen: dict[int, torch.Tensor] = {}
    for tick in range(10 * evaluations):
        if tick < 5:
            new = np.arange(5 + 7 * tick, 12 + 7 * tick)
            lane.admit(new, take(whole, torch.as_tensor(new)))
        some = np.sort(chance.choice(lane.ids, chance.integers(1, len(lane) + 1), replace=False))
        advance(lane, served, some)
        for row in some:
            told[row] += 1
        ended = lane.among(np.array([row for row in lane.ids if told[row] == evaluations]))
        if len(ended):
            x = solver.sample(*lane.rows(ended)).x
            seen |= {int(row): x[place] for place, row in enumerate(ended)}
        if len(ended) == len(lane):
            break
        if len(ended):
            lane.discard(ended)
    assert seen.keys() == told.keys()
    assert all(torch.equal(seen[row], expected[row]) for row in seen)


def test_a_batch_that_is_not_written_back_changes_nothing(served: Served) -> None:
    solver, whole = SAMPLERS["ddpm"], problem(served, "ddpm", 4)
    lane = Lane(solver, False, np.arange(4), whole)
    before = lane.rows(lane.ids)[1].x.clone()
    batch = lane.batch(lane.ids)
    (answer,) = evaluate(served.denoiser, [lane.ask(batch)])
    lane.tell(batch, answer)
    assert torch.equal(lane.rows(lane.ids)[1].x, before)


def test_progress_tells_running_rows_from_ended_ones(served: Served) -> None:
    solver, whole = SAMPLERS["ddpm"], problem(served, "ddpm", 2)
    lane = Lane(solver, True, np.arange(2), whole)
    for _ in range(short("ddpm").evaluations):
        advance(lane, served, np.array([1]))
    assert lane.progress(lane.batch(lane.ids)).tolist() == [0.0, 1.0]


def network_input(served: Served, rows: int, seed: int, probes: int) -> NetworkInput:
    config = served.denoiser.config
    condition = sample_problem(served.denoiser, Ddpm(), seed, torch.arange(rows)).condition
    key = NoiseKey(torch.full((rows,), seed), torch.arange(rows))
    x = normal(key, Stream.START, 0, config.chw)
    t = torch.linspace(0.1, 0.9, rows, dtype=torch.float64)
    if not probes:
        return Query(x, t), condition
    return Query(x, t, rademacher(key, Stream.PROBE, 0, (probes, *config.chw))), condition


@pytest.mark.parametrize("probes", [0, 2])
def test_answers_of_one_call_are_those_of_separate_calls(served: Served, probes: int) -> None:
    inputs = [network_input(served, rows, rows, probes) for rows in (3, 16, 1, 20)]
    together = evaluate(served.denoiser, inputs)
    for (query, condition), answer in zip(inputs, together, strict=True):
        alone = served.denoiser.evaluate(query, condition)
        assert torch.equal(answer.eps, alone.eps)
        if alone.vjps is None or answer.vjps is None:
            assert not probes
            assert alone.vjps is answer.vjps
        else:
            assert torch.equal(answer.vjps, alone.vjps)
