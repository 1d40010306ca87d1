"""A lane on a CUDA device: between two calls of the network the host only asks."""

from typing import Any

import numpy as np
import pytest
import torch
from fake_cuda import CUDA, FaultError, Unwaiting, fake_cuda, on_cuda
from small_engine import CONFIG, images, short, small_served

from models.network.mulan import Mulan
from models.rows.constants import constant
from models.runtimes.denoiser import NetworkDenoiser
from models.runtimes.eager import eager_denoiser
from models.schema.specs import Adams
from models.solvers import SAMPLERS, SOLVERS
from models.solvers.base import Problem
from models.work.likelihood import score_problem
from models.work.sampling import sample_problem
from service.engine.lane import Lane, evaluate

ROWS = 5
SERVED = ("adams", *SAMPLERS)


def problem_of(name: str) -> Problem[Any]:
    denoiser = small_served().denoiser
    if name == "adams":
        tokens = torch.as_tensor(images(ROWS)).permute(0, 3, 1, 2)
        return score_problem(denoiser, tokens, Adams(), seed=0, draws=1)
    return sample_problem(denoiser, short(name), 3, torch.arange(ROWS))


def advance(lane: Lane[Any, Any], denoiser: NetworkDenoiser, ids: Any) -> None:
    batch = lane.batch(ids)
    (answer,) = evaluate(denoiser, [lane.ask(batch)])
    lane.write_back(lane.tell(batch, answer))


@pytest.mark.parametrize("name", SERVED)
def test_a_tick_of_a_lane_neither_waits_nor_copies(name: str) -> None:
    """But for the places of its rows, where it runs some of them."""
    problem = problem_of(name)
    with fake_cuda(), torch.no_grad():
        with torch.device(CUDA):
            denoiser = eager_denoiser(Mulan(CONFIG).eval().requires_grad_(False))
        lane = Lane(SOLVERS[name], name == "adams", np.arange(ROWS), on_cuda(problem))
        with Unwaiting(but_in=constant.__wrapped__):
            advance(lane, denoiser, lane.ids)
        with Unwaiting():
            advance(lane, denoiser, lane.ids)
        with Unwaiting(but_in=Lane._index):
            advance(lane, denoiser, lane.ids[1:3])
        with Unwaiting(), pytest.raises(FaultError, match="as_tensor"):
            lane.batch(lane.ids[1:3])
