"""Packing is concatenation: the answers are those of separate calls."""

import pytest
import torch

from models.rows.noise import Stream, normal, rademacher
from models.rows.rows import NoiseKey, Query
from models.schema.specs import Ddpm
from models.work.sampling import sample_problem
from service.engine.packer import Question, evaluate
from service.rows import Served


def question(served: Served, rows: int, seed: int, probes: int) -> Question:
    config = served.denoiser.config
    condition = sample_problem(served.denoiser, Ddpm(), seed, torch.arange(rows)).condition
    key = NoiseKey(torch.full((rows,), seed), torch.arange(rows))
    x = normal(key, Stream.START, 0, config.chw)
    t = torch.linspace(0.1, 0.9, rows, dtype=torch.float64)
    if not probes:
        return Query(x, t), condition
    return Query(x, t, rademacher(key, Stream.PROBE, 0, (probes, *config.chw))), condition


@pytest.mark.parametrize("probes", [0, 2])
def test_packed_answers_are_those_of_separate_calls(served: Served, probes: int) -> None:
    questions = [question(served, rows, rows, probes) for rows in (3, 16, 1, 20)]
    packed = evaluate(served.denoiser, questions)
    for (query, condition), answer in zip(questions, packed, strict=True):
        alone = served.denoiser.evaluate(query, condition)
        assert torch.equal(answer.eps, alone.eps)
        if alone.vjps is None or answer.vjps is None:
            assert not probes
            assert alone.vjps is answer.vjps
        else:
            assert torch.equal(answer.vjps, alone.vjps)
