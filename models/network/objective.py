"""The negative evidence lower bound of MULAN (Sahoo et al., 2024, eq. 8 and appendix)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from models.network.encoder import categorical_kl
from models.network.network import Network
from models.network.pixels import tokens_to_data

COARSE = 3.0


class Elbo(NamedTuple):
    """The terms of the bound, each `[rows]` in nats. `latent` is the paper's categorical KL.

    `coarse` is not a further term but the part of `diffusion` at high noise, where an image's
    layout is decided; it is weighted by sigmoid(gamma + 3).
    """

    reconstruction: Tensor
    prior: Tensor
    diffusion: Tensor
    latent: Tensor
    coarse: Tensor

    @property
    def total(self) -> Tensor:
        """The negative ELBO with the paper's latent term, which is not a bound on log P(v)."""
        return self.reconstruction + self.prior + self.diffusion + self.latent


def negative_elbo(
    model: Network,
    tokens: Tensor,
    latent: Tensor,
    logits: Tensor,
    t: Tensor,
    epsilon0: Tensor,
    epsilon: Tensor,
) -> Elbo:
    """Estimate each term by one sample.

    `tokens` and the normals `epsilon0` and `epsilon` are `[rows, C, H, W]`, `latent` and `logits`
    `[rows, n]`, `t` `[rows]`. The computation is in the model's dtype; gradients reach every
    parameter.
    """
    schedule = model.gamma(latent)
    x0 = tokens_to_data(tokens, model.config).to(epsilon)
    noise = schedule.noise(t)
    # A schedule may be in float64 where the network is not.
    x = (noise.alpha * x0 + noise.sigma * epsilon).to(epsilon)
    predicted = model.epsilon(x, noise, schedule.network_time(noise.gamma), latent)
    # In velocity form alpha^2 (v - v_hat)^2 = (eps - eps_hat)^2, so one expression serves both.
    diffusion = 0.5 * schedule.dgamma_dt(t) * torch.square(epsilon - predicted)
    return Elbo(
        reconstruction(model, tokens, epsilon0),
        prior(model, x0),
        diffusion.flatten(1).sum(1),
        categorical_kl(logits),
        (diffusion * torch.sigmoid(noise.gamma + COARSE)).flatten(1).sum(1),
    )


def reconstruction(model: Network, tokens: Tensor, epsilon0: Tensor) -> Tensor:
    """Return -log p(tokens | x at t = 0) in nats, `[rows]`. It does not depend on parameters.

    A token's probability is its share of the normal densities around all tokens' places. Only the
    tokens are summed over whose densities are more than e^-40 of the largest.
    """
    config = model.config
    # Scale of the noise at t = 0, in bins, and tokens to either side of the nearest that count.
    scale = 0.5 * config.bins * math.exp(0.5 * config.gamma_min)
    reach = min(config.vocabulary - 1, math.ceil(math.sqrt(0.25 + 80 * scale**2) - 0.5))
    with torch.no_grad():
        nearest = tokens + (scale * epsilon0).round().long()
        nearest = nearest.clamp(0, config.vocabulary - 1)
        near = nearest[..., None] + torch.arange(-reach, reach + 1, device=tokens.device)
        distances = epsilon0[..., None] - (near - tokens[..., None]).to(epsilon0) / scale
        logits = -0.5 * distances.square()
        logits = logits.masked_fill((near < 0) | (near >= config.vocabulary), -math.inf)
        own = -0.5 * epsilon0.square()
        return (torch.logsumexp(logits, dim=-1) - own).flatten(1).sum(1)


def prior(model: Network, x0: Tensor) -> Tensor:
    """Return the KL from q(x at t = 1 | x0) to N(0, I) in nats, `[rows]`."""
    gamma1 = model.config.gamma_max
    variance, log_variance = 1 / (1 + math.exp(-gamma1)), -math.log1p(math.exp(-gamma1))
    signal = 1 / (1 + math.exp(gamma1))
    return 0.5 * (variance + signal * x0.square() - 1 - log_variance).flatten(1).sum(1)
