"""Chains of RTK on data that is one point, by exact moments: their variance is what theory says."""

from typing import Any

import pytest
import torch
from affine import Moments, sampled_moments
from torch import Tensor

from models.evaluation.analytic import Gaussian
from models.network.schedule import NoiseLevel
from models.schema.config import ModelConfig
from models.schema.specs import (
    RtkUla,
    RtkUld,
    SamplerSpec,
)
from models.solvers import SAMPLERS
from models.solvers.base import Problem
from models.solvers.rtk_uld import Step
from models.work.sampling import sample_problem

FLAT = ModelConfig(image_shape=(1, 2, 1), latent_size=3, latent_k=1, gamma_min=-1.5, gamma_max=1.5)
MEAN = torch.tensor([0.7, -0.4])
COVARIANCE = torch.tensor([[0.8, 0.5], [0.5, 0.6]])
SCHEDULES = range(2)


@pytest.fixture(params=SCHEDULES)
def point(request: pytest.FixtureRequest) -> Gaussian:
    """Data that is one point: the kernel's curvature is 1 / M exactly, in every dimension."""
    return Gaussian(FLAT, MEAN, 0 * COVARIANCE, schedule_seed=request.param)


def problem(denoiser: Gaussian, spec: SamplerSpec) -> Problem[Any]:
    return sample_problem(denoiser, spec, 0, torch.zeros(1, dtype=torch.int64), latent=(1,))


def ends(rows: Problem[Any]) -> tuple[NoiseLevel, NoiseLevel]:
    """The noise at t = 1 and at t = 0."""
    noise = rows.condition.schedule.noise
    return noise(torch.ones(1).double()), noise(torch.zeros(1).double())


def inflation(point: Gaussian, spec: RtkUla | RtkUld) -> Tensor:
    """Variance of one segment's chain over the kernel's, M, in each dimension."""
    rows = problem(point, spec)
    here, there = ends(rows)
    mass = there.sigma.square() * -torch.expm1(there.gamma - here.gamma)
    start = Moments(MEAN.double(), 0 * COVARIANCE.double())
    found = sampled_moments(SAMPLERS[spec.name], point, rows, start).moments
    return found.covariance.diagonal() / mass[0].flatten()


@pytest.mark.parametrize("c", [0.1, 0.5, 1.0, 1.5])
def test_rtk_ula_inflates_the_variance_as_theory_says(point: Gaussian, c: float) -> None:
    spec = RtkUla(segments=1, inner_steps=round(12 / c), step_size=c)
    assert inflation(point, spec) == pytest.approx([1 / (1 - c / 2)] * 2, rel=1e-4)


@pytest.mark.parametrize(("h", "factor"), [(1.0, 1.31), (0.5, 1.14), (0.1, 1.026)])
def test_rtk_uld_inflates_the_variance_as_theory_says(
    point: Gaussian, h: float, factor: float
) -> None:
    spec = RtkUld(segments=1, inner_steps=round(20 / h), step_size=h)
    assert inflation(point, spec) == pytest.approx([factor] * 2, abs=0.006)


def test_rtk_uld_starts_each_segment_with_fresh_momentum(point: Gaussian) -> None:
    """One step from the Gaussian factor in closed form, at curvature 1 / M and momentum N(0, M)."""
    spec = RtkUld(segments=1, inner_steps=1, step_size=0.8, start="kernel")
    step = Step.of(spec.friction, spec.step_size)
    here, there = ends(problem(point, spec))
    guess = torch.exp(here.gamma - there.gamma)[0].flatten()
    kick = step.glide**2 + step.lean**2 + step.spread**2
    expected = (1 - step.fall) ** 2 * guess + kick
    torch.testing.assert_close(inflation(point, spec), expected, rtol=1e-4, atol=0)


def test_rtk_uld_forgets_the_momentum_of_the_segment_before() -> None:
    solver: Any = SAMPLERS["rtk-uld"]
    denoiser = Gaussian(FLAT, MEAN, COVARIANCE)
    rows = problem(denoiser, RtkUld(segments=3, inner_steps=2, start="kernel"))
    state = solver.init(rows)
    for evaluation in range(6):
        answer = denoiser.evaluate(solver.ask(rows, state), rows.condition)
        told = solver.tell(rows, state, answer)
        pushed = solver.tell(rows, state._replace(own=state.own + 1), answer)
        assert torch.equal(told.walk.x, pushed.walk.x) == (evaluation % 2 == 0)
        state = told
