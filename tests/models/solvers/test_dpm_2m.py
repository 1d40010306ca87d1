"""Weights of the steps of `dpm-2m-sde`: between it and its neighbours."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from models.evaluation.analytic import Gaussian
from models.network.schedule import NoiseLevel
from models.schema.config import ModelConfig
from models.schema.specs import Ddim, Ddpm, Dpm2m, Dpm2mSde, SamplerSpec
from models.solvers import SAMPLERS
from models.solvers.ddim import ode_step
from models.solvers.ddpm import ancestral_step
from models.solvers.dpm_2m import partial_draw
from models.work.sampling import Images, joint_problem, sample_problem
from models.work.solve import solve

CONFIG = ModelConfig(image_shape=(2, 2, 1), latent_size=3, latent_k=1, gamma_min=-9, gamma_max=6)
DENOISER = Gaussian(CONFIG, torch.tensor([0.3, -0.2, 0.1, 0.0]), 0.3 * torch.eye(4))
POINTS = (0.8, 0.5, 0.3)


def drawn(spec: SamplerSpec, rows: int = 3) -> Tensor:
    problem: Any = sample_problem(DENOISER, spec, 5, torch.arange(rows))
    sampler = SAMPLERS[spec.name]
    return sampler.sample(problem, solve(sampler, problem, DENOISER)).x


def weighted(eta: float, extrapolation: float) -> Dpm2mSde:
    return Dpm2mSde(steps=4, points=POINTS, eta=(eta,) * 4, extrapolation=(extrapolation,) * 4)


@pytest.mark.parametrize(
    ("eta", "extrapolation", "same"),
    [
        (0, 1, Dpm2m(steps=4, points=POINTS)),
        (0, 0, Ddim(steps=4, points=POINTS)),
        (1, 0, Ddpm(steps=4, points=POINTS)),
    ],
)
def test_the_ends_of_the_weights_are_other_samplers(
    eta: float, extrapolation: float, same: SamplerSpec
) -> None:
    torch.testing.assert_close(drawn(weighted(eta, extrapolation)), drawn(same))


def test_weights_of_one_change_no_bit() -> None:
    assert torch.equal(drawn(weighted(1, 1)), drawn(Dpm2mSde(steps=4, points=POINTS)))


def test_each_step_has_its_own_weights() -> None:
    """Each weight changes the image, but for the extrapolation of the first step, before which
    nothing was predicted."""
    plain = drawn(Dpm2mSde(steps=4))
    for name in "eta", "extrapolation":
        for step in range(4):
            weights = [1.0] * 4
            weights[step] = 0.5
            changed = drawn(Dpm2mSde.model_validate({"steps": 4, name: weights}))
            assert torch.equal(changed, plain) == (name == "extrapolation" and step == 0)


def test_rows_of_different_weights_share_a_lane() -> None:
    specs = [weighted(0.25, 1.5), Dpm2mSde(steps=150), weighted(0.75, 0.5)]
    sampler: Any = SAMPLERS["dpm-2m-sde"]
    wanted = [Images(spec, 5, range(3)) for spec in specs]
    together = joint_problem(sampler, DENOISER, wanted, torch.device("cpu"))
    found = sampler.sample(together, solve(sampler, together, DENOISER)).x
    assert torch.equal(found, torch.cat([drawn(spec) for spec in specs]))


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_a_partial_draw_keeps_the_variance_of_the_noise(eta: float) -> None:
    """With data 0 and x = sigma eps, x at the cleaner end has the variance sigma^2 there, which is
    the sum of the squares of what it takes from eps and from the draw."""
    gamma = torch.tensor([2.0, -1.5]).double()
    here, there = (
        NoiseLevel(g.view(1, 1, 1, 1), torch.sigmoid(-g).sqrt(), torch.sigmoid(g).sqrt())
        for g in gamma
    )
    one, none, share = (torch.full((1, 1, 1, 1), value).double() for value in (1.0, 0.0, eta))
    of_eps = partial_draw(here.sigma * one, one, here, there, none, share)
    of_draw = partial_draw(none, none, here, there, one, share)
    torch.testing.assert_close(of_eps**2 + of_draw**2, there.sigma.view(1, 1, 1, 1) ** 2)
    torch.testing.assert_close(of_draw / ancestral_step(none, none, here, there, one), share)
    if eta == 0:
        x = 0.3 * one
        expected = ode_step(x, one, here, there)
        torch.testing.assert_close(partial_draw(x, one, here, there, one, share), expected)


@pytest.mark.parametrize("name", ["eta", "extrapolation"])
def test_there_is_one_weight_for_each_step(name: str) -> None:
    with pytest.raises(ValidationError, match=f"{name} has 3 weights for 4 steps"):
        Dpm2mSde.model_validate({"steps": 4, name: (1, 1, 1)})
