"""Denoisers in closed form, against which solvers and likelihoods are tested."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn.functional import softplus

from models.network.network_time import NetworkTime
from models.network.schedule import Schedule
from models.rows.rows import Answer, Condition, Query
from models.schema.config import ModelConfig


class AnalyticDenoiser(ABC):
    """The exact noise prediction for data of known density, under a random vector schedule.

    Each latent selects its own degree-5 polynomial in every dimension, from tables drawn by
    `schedule_seed`; with `bend` 0 all polynomials are straight lines. The computation is in
    float64, the answer in the query's dtype.
    """

    quantum = 1

    def __init__(self, config: ModelConfig, schedule_seed: int = 0, bend: float = 1.0) -> None:
        self.config = config
        draws = torch.Generator().manual_seed(schedule_seed)
        shape = (3, config.latent_size, *config.chw)
        self._tables = bend * torch.randn(shape, generator=draws, dtype=torch.float64)

    @abstractmethod
    def log_density(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the log-density `[rows]`, in nats, of alpha x0 + sigma xi at `x`; arguments are
        `[rows, D]`."""

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        cotangents = query.cotangents
        if cotangents is not None and not cotangents.shape[1]:
            cotangents = None
        noise = condition.schedule.noise(query.t)
        alpha, sigma = noise.alpha.flatten(1), noise.sigma.flatten(1)
        with torch.enable_grad():
            x = query.x.detach().double().flatten(1).requires_grad_()
            density = self.log_density(x, alpha, sigma).sum()
            (score,) = torch.autograd.grad(density, x, create_graph=cotangents is not None)
            eps = -sigma * score
            vjps = None
            if cotangents is not None:
                pulled = [
                    torch.autograd.grad(eps, x, v, retain_graph=True)[0]
                    for v in cotangents.double().flatten(2).unbind(1)
                ]
                vjps = torch.stack(pulled, dim=1).view_as(cotangents).to(query.x.dtype)
        return Answer(eps.detach().view_as(query.x).to(query.x.dtype), vjps)

    def encode(self, x: Tensor) -> Tensor:
        """Return logits `[rows, n]` that depend on the image."""
        columns = torch.arange(self.config.latent_size, device=x.device)
        return torch.cos(x.flatten(1).sum(1, keepdim=True) * (1 + columns)).to(x.dtype)

    def condition(self, latent: Tensor) -> Condition:
        a, b, c = torch.einsum("rn,pnchw->prchw", latent.double(), self._tables.to(latent.device))
        schedule = Schedule.normalised(
            a, b, 1.0 + softplus(c), self.config.gamma_min, self.config.gamma_max
        )
        return Condition(latent, schedule, NetworkTime.of(schedule))


class Mixture(AnalyticDenoiser):
    """Data from a mixture of axis-aligned Gaussians: `weights` `[K]`, `means` and `variances` `[K,
    D]`."""

    def __init__(
        self,
        config: ModelConfig,
        weights: Tensor,
        means: Tensor,
        variances: Tensor,
        schedule_seed: int = 0,
        bend: float = 1.0,
    ) -> None:
        super().__init__(config, schedule_seed, bend)
        self.weights, self.means, self.variances = (
            leaf.double() for leaf in (weights / weights.sum(), means, variances)
        )

    def log_density(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        mean = alpha[:, None] * self.means
        variance = alpha[:, None].square() * self.variances + sigma[:, None].square()
        terms = (x[:, None] - mean).square() / variance + torch.log(2 * torch.pi * variance)
        density: Tensor = torch.logsumexp(self.weights.log() - 0.5 * terms.sum(-1), dim=1)
        return density


class Gaussian(AnalyticDenoiser):
    """Data from one Gaussian with a full covariance: `mean` `[D]`, `covariance` `[D, D]`."""

    def __init__(
        self,
        config: ModelConfig,
        mean: Tensor,
        covariance: Tensor,
        schedule_seed: int = 0,
        bend: float = 1.0,
    ) -> None:
        super().__init__(config, schedule_seed, bend)
        self.mean, self.covariance = mean.double(), covariance.double()

    def log_density(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        covariance = alpha[:, :, None] * self.covariance * alpha[:, None, :]
        covariance = covariance + torch.diag_embed(sigma.square())
        factor = torch.linalg.cholesky(covariance)
        centred = (x - alpha * self.mean)[..., None]
        white = torch.linalg.solve_triangular(factor, centred, upper=False)[..., 0]
        log_det = 2 * factor.diagonal(dim1=1, dim2=2).log().sum(1)
        constant = x.shape[1] * torch.log(torch.tensor(2 * torch.pi, dtype=x.dtype))
        density: Tensor = -0.5 * (white.square().sum(1) + log_det + constant)
        return density
