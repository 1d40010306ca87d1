"""Solvers on a Gaussian, by exact moments: each converges to the known law at its known order."""

from typing import Any

import pytest
import torch
from affine import Moments, marginal, sampled_moments
from torch import Tensor

from models.evaluation.analytic import Gaussian
from models.schema.config import ModelConfig
from models.schema.specs import (
    Ddim,
    Ddpm,
    Dpm2m,
    Dpm2mSde,
    Grid,
    RtkUla,
    RtkUld,
    SamplerSpec,
    Start,
)
from models.solvers import SAMPLERS
from models.solvers.base import Problem
from models.solvers.rtk_uld import Step
from models.work.sampling import sample_problem

PIXELS = 2
ROWS = 1 + 4 * PIXELS + 5 * PIXELS
FLAT = ModelConfig(
    image_shape=(1, PIXELS, 1), latent_size=3, latent_k=1, gamma_min=-1.5, gamma_max=1.5
)
MEAN = torch.tensor([0.7, -0.4])
COVARIANCE = torch.tensor([[0.8, 0.5], [0.5, 0.6]])
SCHEDULES = range(2)


@pytest.fixture(params=SCHEDULES)
def denoiser(request: pytest.FixtureRequest) -> Gaussian:
    return Gaussian(FLAT, MEAN, COVARIANCE, schedule_seed=request.param)


@pytest.fixture(params=SCHEDULES)
def point(request: pytest.FixtureRequest) -> Gaussian:
    """Data that is one point: the kernel's curvature is 1 / M exactly, in every dimension."""
    return Gaussian(FLAT, MEAN, 0 * COVARIANCE, schedule_seed=request.param)


def problem(denoiser: Gaussian, spec: SamplerSpec) -> Problem[Any]:
    return sample_problem(denoiser, spec, 0, torch.zeros(ROWS, dtype=torch.int64), latent=(1,))


def moments(
    denoiser: Gaussian, spec: SamplerSpec, start: Moments, monkeypatch: pytest.MonkeyPatch
) -> Moments:
    solver = SAMPLERS[spec.name]
    return sampled_moments(solver, denoiser, problem(denoiser, spec), start, monkeypatch)


def errors(
    denoiser: Gaussian, specs: list[SamplerSpec], monkeypatch: pytest.MonkeyPatch
) -> tuple[Tensor, Tensor]:
    """Largest error of mean and covariance for each of `specs`, from the exact x at t = 1."""
    rows = problem(denoiser, specs[0])
    start, target = marginal(denoiser, rows, 1.0), marginal(denoiser, rows, 0.0)
    found = [moments(denoiser, spec, start, monkeypatch) for spec in specs]
    mean = torch.stack([(m.mean - target.mean).abs().max() for m in found])
    covariance = torch.stack([(m.covariance - target.covariance).abs().max() for m in found])
    return mean, covariance


def orders(errors: Tensor) -> Tensor:
    """Observed order between each step size and its half."""
    return torch.log2(errors[:-1] / errors[1:])


@pytest.mark.parametrize("grid", ["gamma", "time"])
def test_ddpm_is_of_first_order_in_its_steps(
    denoiser: Gaussian, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [Ddpm(steps=steps, grid=grid) for steps in (40, 80, 160)]
    mean, covariance = errors(denoiser, list(specs), monkeypatch)
    assert orders(covariance) == pytest.approx([1.0, 1.0], abs=0.15)
    assert covariance[-1] < 0.03
    assert mean.max() < 1e-5


@pytest.mark.parametrize("grid", ["gamma", "time", "ou"])
@pytest.mark.parametrize(("method", "order"), [(Ddim, 1.0), (Dpm2m, 2.0), (Dpm2mSde, 2.0)])
def test_the_samplers_are_of_their_order_in_their_steps(
    denoiser: Gaussian,
    method: type[Ddim | Dpm2m | Dpm2mSde],
    order: float,
    grid: Grid,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    specs = [method(steps=steps, grid=grid) for steps in (40, 80, 160)]
    mean, covariance = errors(denoiser, list(specs), monkeypatch)
    assert orders(covariance) == pytest.approx([order, order], abs=0.2)
    assert covariance[-1] < 0.03 / 40 ** (order - 1)
    assert mean.max() < 1e-5


@pytest.mark.parametrize("start", ["ancestral", "multistep", "kernel"])
def test_rtk_ula_is_of_first_order_in_its_step_size(
    denoiser: Gaussian, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [
        RtkUla(segments=3, inner_steps=round(12 / c), step_size=c, start=start)
        for c in (0.4, 0.2, 0.1)
    ]
    mean, covariance = errors(denoiser, list(specs), monkeypatch)
    assert orders(covariance) == pytest.approx([1.0, 1.0], abs=0.15)
    assert covariance[-1] < 0.03
    assert mean.max() < 1e-5


@pytest.mark.parametrize("start", ["ancestral", "multistep", "kernel"])
def test_rtk_uld_is_of_first_order_in_its_step_size(
    denoiser: Gaussian, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [
        RtkUld(segments=3, inner_steps=round(24 / h), step_size=h, start=start)
        for h in (0.6, 0.3, 0.15)
    ]
    mean, covariance = errors(denoiser, list(specs), monkeypatch)
    assert orders(covariance) == pytest.approx([1.0, 1.0], abs=0.15)
    assert covariance[-1] < 0.03
    assert mean.max() < 1e-5


def inflation(point: Gaussian, spec: RtkUla | RtkUld, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Variance of one segment's chain over the kernel's, M, in each dimension."""
    schedule = problem(point, spec).condition.schedule
    here, there = (schedule.noise(torch.full((ROWS,), t, dtype=torch.float64)) for t in (1.0, 0.0))
    mass = there.sigma.square() * -torch.expm1(there.gamma - here.gamma)
    start = Moments(MEAN.double(), 0 * COVARIANCE.double())
    found = moments(point, spec, start, monkeypatch)
    return found.covariance.diagonal() / mass[0].flatten()


@pytest.mark.parametrize("c", [0.1, 0.5, 1.0, 1.5])
def test_rtk_ula_inflates_the_variance_as_theory_says(
    point: Gaussian, c: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = RtkUla(segments=1, inner_steps=round(12 / c), step_size=c)
    assert inflation(point, spec, monkeypatch) == pytest.approx([1 / (1 - c / 2)] * 2, rel=1e-4)


@pytest.mark.parametrize(("h", "factor"), [(1.0, 1.31), (0.5, 1.14), (0.1, 1.026)])
def test_rtk_uld_inflates_the_variance_as_theory_says(
    point: Gaussian, h: float, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = RtkUld(segments=1, inner_steps=round(20 / h), step_size=h)
    assert inflation(point, spec, monkeypatch) == pytest.approx([factor] * 2, abs=0.006)


def test_rtk_uld_starts_each_segment_with_fresh_momentum(
    point: Gaussian, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step from the Gaussian factor in closed form, at curvature 1 / M and momentum N(0, M)."""
    spec = RtkUld(segments=1, inner_steps=1, step_size=0.8, start="kernel")
    step = Step.of(spec.friction, spec.step_size)
    rows = problem(point, spec)
    here, there = (rows.condition.schedule.noise(torch.full((ROWS,), t).double()) for t in (1, 0))
    guess = torch.exp(here.gamma - there.gamma)[0].flatten()
    kick = step.glide**2 + step.lean**2 + step.spread**2
    expected = (1 - step.fall) ** 2 * guess + kick
    torch.testing.assert_close(inflation(point, spec, monkeypatch), expected, rtol=1e-4, atol=0)


def test_rtk_uld_forgets_the_momentum_of_the_segment_before() -> None:
    solver: Any = SAMPLERS["rtk-uld"]
    denoiser = Gaussian(FLAT, MEAN, COVARIANCE)
    rows = problem(denoiser, RtkUld(segments=3, inner_steps=2, start="kernel"))
    state = solver.init(rows)
    for evaluation in range(6):
        answer = denoiser.evaluate(solver.ask(rows, state), rows.condition)
        told = solver.tell(rows, state, answer)
        pushed = solver.tell(rows, state._replace(w=state.w + 1), answer)
        assert torch.equal(told.walk.x, pushed.walk.x) == (evaluation % 2 == 0)
        state = told
