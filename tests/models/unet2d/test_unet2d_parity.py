"""Imported networks beside diffusers' own schedulers, and a Gaussian in its parameterisation."""

from typing import Any, Literal

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from tiny_unet import unet
from torch import Tensor
from unet_references import (
    LARGEST,
    ROWS,
    STEPS,
    GaussianScore,
    Import,
    assert_near,
    clean,
    drawn_by_ours,
    drawn_by_theirs,
    in_precision,
    network_times,
    own,
    pulled_back,
    start,
)

from models.loaded import LoadedCheckpoint
from models.rows.rows import Query, concat
from models.runtimes.eager import eager_denoiser
from models.schema.specs import Adams, Ddim, sampler_spec
from models.solvers import SAMPLERS, sampler_of
from models.solvers.adams import AdamsSolver
from models.solvers.ddpm import ancestral_step
from models.work.likelihood import score_problem
from models.work.sampling import sample_problem
from models.work.solve import solve

BETAS = ("linear", "scaled_linear", "squaredcos_cap_v2")
PREDICTIONS = ("epsilon", "v_prediction", "sample")


@pytest.mark.parametrize("dtype", LARGEST)
@pytest.mark.parametrize("betas", BETAS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_ddim(imported: Import, dtype: torch.dtype, betas: str, prediction: str) -> None:
    noise = {"beta_schedule": betas, "prediction_type": prediction}
    model, network = imported(**noise).to(dtype), in_precision(unet(), dtype)
    theirs, x = own(DDIMScheduler, dtype, **noise), start(dtype)
    expected = drawn_by_theirs(theirs, network, x)
    assert_near(drawn_by_ours(model, theirs, x), expected)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_ddpm(imported: Import, prediction: str) -> None:
    """In float32 their own weights of a step err by 1e-4, since 1 - alphas_cumprod cancels."""
    dtype, noise = torch.float64, {"num_train_timesteps": STEPS, "prediction_type": prediction}
    model, network = imported(**noise).to(dtype), in_precision(unet(), dtype)
    theirs, x = own(DDPMScheduler, dtype, **noise), start(dtype)
    theirs.set_timesteps(STEPS)
    denoiser, times = eager_denoiser(model, quantum=1), network_times(model)
    condition = denoiser.condition(torch.zeros(ROWS, 0))
    draws = [torch.Generator().manual_seed(2) for _ in range(2)]
    expected = ours = x
    for timestep in theirs.timesteps.tolist():
        with torch.no_grad():
            predicted = network(expected, timestep, return_dict=False)[0]
        expected = theirs.step(predicted, timestep, expected, generator=draws[0]).prev_sample
        here = condition.moment(times[timestep].expand(ROWS))
        eps = denoiser.evaluate(Query(ours, here.t), condition).eps
        if timestep:
            there = condition.moment(times[timestep - 1].expand(ROWS))
            xi = torch.randn(ours.shape, dtype=dtype, generator=draws[1])
            ours = ancestral_step(ours, eps, here.noise, there.noise, xi)
        else:
            ours = ((ours - here.noise.sigma * eps) / here.noise.alpha).to(dtype)
    assert_near(ours, expected)


@pytest.mark.parametrize("betas", BETAS)
def test_timesteps_are_met_and_interpolated(imported: Import, betas: str) -> None:
    model = imported(beta_schedule=betas)
    times, steps = network_times(model), torch.arange(1000, dtype=torch.float64)
    found = model.time_input(times)
    np.testing.assert_allclose(found, steps, atol=1e-6)
    # The network takes float32, in which it is the trained timestep itself.
    assert torch.equal(found.float(), steps.float())
    between = times[:-1] + 0.25 * times.diff()
    np.testing.assert_allclose(model.time_input(between), steps[:-1] + 0.25, atol=1e-6)
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert model.time_input(ends).tolist() == pytest.approx([0.0, 999.0], abs=1e-9)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_ends_with_the_clean_image(imported: Import, name: str) -> None:
    model = imported(prediction_type="sample")
    spec = sampler_spec(name).with_pieces(3)
    denoiser, solver = eager_denoiser(model), sampler_of(name, model.config)
    problem = sample_problem(denoiser, spec, 5, torch.arange(ROWS))
    asked: list[Tensor] = []

    class Listening:
        def evaluate(self, query: Query, condition: Any) -> Any:
            asked.append(query.t)
            return denoiser.evaluate(query, condition)

    listening: Any = Listening()
    sample = solver.sample(problem, solve(solver, problem, listening))
    assert sample.nfe.tolist() == [spec.evaluations + model.config.closing_evaluations] * ROWS
    assert len(asked) == spec.evaluations + 1
    assert asked[-1].tolist() == [0.0] * ROWS
    plain = SAMPLERS[name]
    walked = plain.sample(problem, solve(plain, problem, denoiser)).x
    predicted = model.score(walked, torch.zeros(ROWS), torch.zeros(ROWS, 0))
    torch.testing.assert_close(clean(model, sample.x), predicted, rtol=0, atol=1e-4)


def test_rows_of_different_lengths_end_alone(imported: Import) -> None:
    model = imported()
    denoiser, solver = eager_denoiser(model, quantum=1), sampler_of("ddim", model.config)
    specs = [Ddim(steps=steps) for steps in (2, 5)]
    alone = [sample_problem(denoiser, spec, 3, torch.arange(2)) for spec in specs]
    expected = [solver.sample(one, solve(solver, one, denoiser)) for one in alone]
    together = concat(alone)
    found = solver.sample(together, solve(solver, together, denoiser))
    assert found.nfe.tolist() == [3, 3, 6, 6]
    assert_near(found.x, torch.cat([one.x for one in expected]))


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("betas", BETAS)
def test_a_gaussian_has_its_likelihood(imported: Import, betas: str, prediction: str) -> None:
    noise = {"beta_schedule": betas, "prediction_type": prediction}
    model = imported(size=2, **noise).double()
    dice = torch.Generator().manual_seed(0)
    mean = 0.4 * torch.randn(1, 2, 2, generator=dice, dtype=torch.float64)
    variance = 0.02 + 0.3 * torch.rand(1, 2, 2, generator=dice, dtype=torch.float64)
    model.score = GaussianScore(model, mean, variance)
    denoiser, solver = eager_denoiser(model, quantum=1), AdamsSolver()
    tokens = torch.tensor([[0, 255, 128, 90], [200, 130, 7, 60]], dtype=torch.uint8)
    spec = Adams(trace="exact", tolerance_nats=1e-4, max_evaluations=20_000)
    problem = score_problem(denoiser, tokens.view(2, 1, 2, 2), spec, 0, 1)
    density = solver.density(problem, solve(solver, problem, denoiser))
    expected = pulled_back(model.config, problem.columns.image, mean, variance)
    found = density.prior + density.log_det.mean(1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_bound_is_the_same_in_either_precision(imported: Import, prediction: str) -> None:
    """The schedule of these networks is in float64 in both."""
    dice = np.random.default_rng(0)
    tokens = dice.integers(0, 256, (2, 8, 8, 1), dtype=np.uint8)
    noise0, noise = dice.standard_normal((2, *tokens.shape))
    both: tuple[Literal["float32", "float64"], ...] = ("float32", "float64")
    single, double = (
        LoadedCheckpoint(imported(prediction_type=prediction), dtype).elbo(
            tokens, 0.5, noise0, noise
        )
        for dtype in both
    )
    np.testing.assert_allclose(single.total, double.total, rtol=1e-4)
