"""Step sizes by their acceptance: what is aimed at is reached, in every segment."""

from typing import Any

import pytest
import torch

from models.evaluation.acceptance import acceptance_by_segment, adapted
from models.evaluation.mixtures.target import Target
from models.schema.specs import RtkMala
from models.solvers import SAMPLERS
from models.work.sampling import sample_problem
from models.work.solve import solve

MIXTURE = Target("ten dimensions", 10, (1.0,) * 6).denoiser()
ROWS = torch.arange(200)


@pytest.mark.parametrize("energy", ["trapezoid", "simpson"])
@pytest.mark.parametrize("target", [0.65, 0.8])
def test_each_segment_comes_to_accept_its_share(energy: Any, target: float) -> None:
    """From step sizes that are wrong by orders of magnitude, and on draws not seen before."""
    spec = RtkMala(segments=3, inner_steps=4, energy=energy, step_size=5.0)
    found = adapted(MIXTURE, spec, ROWS, seed=1, target=target)
    assert found == spec.model_copy(update={"step_sizes": found.step_sizes})
    long = found.model_copy(update={"inner_steps": 30})
    rates = acceptance_by_segment(MIXTURE, long, ROWS, seed=2)
    assert rates.tolist() == pytest.approx([target] * 3, abs=0.08)


@pytest.mark.parametrize("start", ["ancestral", "kernel"])
@pytest.mark.parametrize("energy", ["trapezoid", "simpson"])
def test_segments_average_to_the_rate_that_the_solver_reports(start: Any, energy: Any) -> None:
    spec = RtkMala(
        segments=3, inner_steps=8, start=start, energy=energy, step_sizes=(0.3, 0.9, 50.0)
    )
    rates = acceptance_by_segment(MIXTURE, spec, ROWS, seed=3)
    solver = SAMPLERS[spec.name]
    problem = sample_problem(MIXTURE, spec, 3, ROWS)
    told = solver.sample(problem, solve(solver, problem, MIXTURE)).acceptance_rate
    assert rates.mean().item() == pytest.approx(told.mean().item(), abs=1e-9)
    assert rates.std() > 0.01
