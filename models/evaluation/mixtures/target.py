"""Mixtures of Gaussians on a circle, and the distance of samples from them."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from models.evaluation.analytic import Mixture
from models.rows.rows import Answer, Condition, Query
from models.schema.config import ModelConfig

# gamma_max is that of the Ornstein-Uhlenbeck process of the paper's figures at T = 4; at gamma_min
# the noise is a tenth of the narrowest mode here.
GAMMA_MIN, GAMMA_MAX = -11.5, math.log(math.expm1(8.0))
REACH, BINS = 2.0, 100


class EqualModes(Mixture):
    """A mixture whose modes have one covariance, so that density and score are closed forms of a
    few products of matrices."""

    def log_density(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        variance = alpha.square() * self.variances[0] + sigma.square()
        logits = self._logits(x, alpha, variance)
        gaussian = x.square() / variance + torch.log(2 * torch.pi * variance)
        return torch.logsumexp(logits, dim=1) - 0.5 * gaussian.sum(1)

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        noise = condition.schedule.noise(query.t) if query.noise is None else query.noise
        alpha, sigma = noise.alpha.flatten(1), noise.sigma.flatten(1)
        x = query.x.double().flatten(1)
        variance = alpha.square() * self.variances[0] + sigma.square()
        mean = alpha * (self._logits(x, alpha, variance).softmax(dim=1) @ self.means)
        eps = sigma * (x - mean) / variance
        return Answer(eps.view_as(query.x).to(query.x.dtype))

    def _logits(self, x: Tensor, alpha: Tensor, variance: Tensor) -> Tensor:
        """Return the logarithm of each mode's share of the density, but for a constant, `[rows,
        K]`."""
        logits = self.weights.log() + (alpha * x / variance) @ self.means.T
        return logits - 0.5 * (alpha.square() / variance) @ self.means.square().T


@dataclass(frozen=True)
class Target:
    """A mixture with modes evenly spaced on the unit circle of the first two coordinates.

    `width` is the modes' standard deviation in every one of `dimensions`; `weights` starts at angle
    0.
    """

    name: str
    dimensions: int
    weights: tuple[float, ...]
    width: float = 0.1

    @property
    def slug(self) -> str:
        """The name in the form used in file names."""
        return self.name.lower().replace(",", "").replace(" ", "-")

    @property
    def means(self) -> Tensor:
        """The centres of the modes, `[K, D]`."""
        angles = 2 * math.pi * torch.arange(len(self.weights)).double() / len(self.weights)
        means = torch.zeros(len(self.weights), self.dimensions, dtype=torch.float64)
        means[:, 0], means[:, 1] = angles.cos(), angles.sin()
        return means

    def denoiser(self) -> EqualModes:
        """Return the exact noise prediction, with gamma linear in t."""
        config = ModelConfig(
            image_shape=(1, self.dimensions, 1),
            latent_size=0,
            latent_k=0,
            gamma_min=GAMMA_MIN,
            gamma_max=GAMMA_MAX,
        )
        variances = torch.full_like(self.means, self.width**2)
        return EqualModes(config, torch.tensor(self.weights), self.means, variances, bend=0.0)

    def draw(self, rows: int, seed: int) -> Tensor:
        """Return exact samples `[rows, D]`."""
        draws = torch.Generator().manual_seed(seed)
        weights = torch.tensor(self.weights, dtype=torch.float64)
        modes = torch.multinomial(weights, rows, replacement=True, generator=draws)
        noise = torch.randn(rows, self.dimensions, generator=draws, dtype=torch.float64)
        return self.means[modes] + self.width * noise

    def accuracy(self, x: Tensor) -> float:
        """Return the marginal accuracy of samples `[rows, D]`.

        It is 1 less the total variation between histogram and density, a mean over coordinates.
        Exact samples stay below 1 because of their sampling noise.
        """
        inner = torch.linspace(-REACH, REACH, BINS + 1, dtype=torch.float64)
        cdf = 0.5 * (1 + torch.erf((inner[:, None, None] - self.means) / self.width / 2**0.5))
        weights = torch.tensor(self.weights, dtype=torch.float64)
        edges = torch.einsum("bkd,k->db", cdf, weights / weights.sum())
        expected = torch.cat([edges[:, :1], edges.diff(dim=1), 1 - edges[:, -1:]], dim=1)
        bins = torch.bucketize(x.T.contiguous().double(), inner)
        counts = torch.zeros_like(expected).scatter_add_(1, bins, torch.ones_like(bins).double())
        return 1 - 0.5 * float((counts / len(x) - expected).abs().sum(1).mean())

    def mode_weights(self, x: Tensor) -> Tensor:
        """Return the share of the samples nearest to each mode, `[K]`."""
        nearest = torch.cdist(x.double(), self.means).argmin(dim=1)
        return torch.bincount(nearest, minlength=len(self.weights)).double() / len(x)

    @property
    def has_rare(self) -> bool:
        """True if some modes have less weight than others."""
        return min(self.weights) < max(self.weights)

    def rare_error(self, x: Tensor) -> float:
        """Return the relative error of the rarest modes' total weight; 0 where all weights are
        equal."""
        return float(self.mode_weights(x)[self._rare].sum()) / self._rare_weight - 1

    def rare_chance(self, rows: int) -> float:
        """Return the standard deviation of `rare_error` over exact samples `[rows, D]`."""
        return math.sqrt((1 / self._rare_weight - 1) / rows)

    @property
    def _rare(self) -> Tensor:
        weights = torch.tensor(self.weights, dtype=torch.float64)
        return weights <= weights.min() * 1.001

    @property
    def _rare_weight(self) -> float:
        weights = torch.tensor(self.weights, dtype=torch.float64)
        return float(weights[self._rare].sum() / weights.sum())
