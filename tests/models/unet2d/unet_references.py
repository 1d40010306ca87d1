"""References for imported networks: diffusers' walks, and a Gaussian in its parameterisation."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.network.diffusers_unet import log_noise
from models.network.network import Network
from models.runtimes.eager import eager_denoiser
from models.schema.config import ModelConfig
from models.schema.specs import Ddim
from models.solvers import sampler_of
from models.work.sampling import Images, joint_problem

# Of the size of the largest value: random networks predict images far outside [-1, 1].
LARGEST = {torch.float32: 1e-5, torch.float64: 1e-10}
ROWS, STEPS = 3, 25
Import = Callable[..., Network]


def own(kind: Any, dtype: torch.dtype, **noise: Any) -> Any:
    """Return a scheduler of diffusers that computes in `dtype`."""
    made = kind(clip_sample=False, **noise)
    made.alphas_cumprod = made.alphas_cumprod.to(dtype)
    return made


def in_precision(network: Any, dtype: torch.dtype) -> Any:
    # The method of diffusers itself warns.
    return nn.Module.to(network, dtype)


def network_times(model: Network) -> Tensor:
    """Return the network time of each trained timestep."""
    gammas = log_noise(model.get_buffer("alphas_cumprod"))
    return (gammas - gammas[0]) / (gammas[-1] - gammas[0])


def start(dtype: torch.dtype) -> Tensor:
    return torch.randn(ROWS, 1, 8, 8, dtype=dtype, generator=torch.Generator().manual_seed(1))


def clean(model: Network, x: Tensor) -> Tensor:
    return x * math.exp(-model.config.log_alpha0)


def assert_near(ours: Tensor, theirs: Tensor) -> None:
    error = float((ours - theirs).abs().max() / theirs.abs().max())
    assert error <= LARGEST[theirs.dtype]


@torch.no_grad()
def drawn_by_theirs(scheduler: Any, network: Any, x: Tensor, **more: Any) -> Tensor:
    """Walk from `x` as diffusers does; the network is given `more`."""
    scheduler.set_timesteps(STEPS)
    for timestep in scheduler.timesteps:
        predicted = network(x, timestep, **more, return_dict=False)[0]
        x = scheduler.step(predicted, timestep, x).prev_sample
    return x


def drawn_by_ours(
    model: Network, scheduler: Any, x: Tensor, classes: list[int] | None = None
) -> Tensor:
    """Walk from `x` by our DDIM over the timesteps of `scheduler`, rows in `classes`."""
    # Their walk begins below the last timestep, so ours takes its first step before.
    ends = network_times(model)[scheduler.timesteps[:-1]].tolist()
    denoiser, solver = eager_denoiser(model, quantum=1), sampler_of("ddim", model.config)
    spec = Ddim(steps=STEPS, points=tuple(ends))
    images = Images(spec, 0, range(ROWS), None if classes is None else [(one,) for one in classes])
    problem: Any = joint_problem(solver, denoiser, [images], x.device)
    state = solver.init(problem)
    one = torch.ones(ROWS, dtype=torch.int64)
    here = problem.columns.moment(problem.condition, one)
    state = state._replace(walk=state.walk._replace(x=x, nfe=one, here=here))
    while not solver.status(problem, state).all():
        answer = denoiser.evaluate(solver.ask(problem, state), problem.condition)
        state = solver.tell(problem, state, answer)
    found = solver.sample(problem, state)
    assert found.nfe.tolist() == [STEPS + 1] * ROWS, "one step was taken beforehand"
    return clean(model, found.x)


class GaussianScore(nn.Module):
    """What a network in diffusers' parameterisation predicts of independent Gaussians, at any
    timestep: its noise level is interpolated as ours are."""

    def __init__(self, model: Network, mean: Tensor, variance: Tensor) -> None:
        super().__init__()
        self.kind = model.config.parameterisation
        self.mean, self.variance = (nn.Parameter(leaf, False) for leaf in (mean, variance))
        self.gammas = log_noise(model.get_buffer("alphas_cumprod")).numpy()

    def forward(self, x: Tensor, timestep: Tensor, latent: Tensor) -> Tensor:
        steps = np.arange(len(self.gammas))
        gamma = torch.from_numpy(np.interp(timestep.numpy(), steps, self.gammas))
        gamma = gamma[:, None, None, None]
        alpha, sigma = torch.sigmoid(-gamma).sqrt(), torch.sigmoid(gamma).sqrt()
        eps = sigma * (x - alpha * self.mean) / (alpha**2 * self.variance + sigma**2)
        data = (x - sigma * eps) / alpha
        return {"epsilon": eps, "velocity": alpha * eps - sigma * data, "sample": data}[self.kind]


def pulled_back(config: ModelConfig, image: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """log p_0 of the model, N(0, I) at t = 1 pulled back: x_1 = a_1 m + r (x_0 - a_0 m), r the
    ratio of the standard deviations at the two ends."""
    (signal0, noise0), (signal1, noise1) = (
        (1 / (1 + math.exp(gamma)), 1 / (1 + math.exp(-gamma)))
        for gamma in (config.gamma_min, config.gamma_max)
    )
    ratio = torch.sqrt((signal1 * variance + noise1) / (signal0 * variance + noise0))
    x1 = math.sqrt(signal1) * mean + ratio * math.sqrt(signal0) * (image - mean)
    terms = ratio.log() - 0.5 * x1.square() - 0.5 * math.log(2 * math.pi)
    return terms.flatten(1).sum(1)
