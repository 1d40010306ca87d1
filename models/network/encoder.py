"""The latent: the encoder's logits, the k-hot choice, its price, and its relaxation in training."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, silu

from models.network.unet import NORM_EPSILON, Trunk
from models.schema.config import ModelConfig

GAMMA_TERMS = 10


class Encoder(nn.Module):
    """The official encoder: the score network's way down, a one-channel map, one dense layer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        height, width, _ = config.image_shape
        self.trunk = Trunk(config, config.encoder_depth, conditions=1)
        self.norm_out = nn.GroupNorm(config.groups, config.width, eps=NORM_EPSILON)
        self.conv_out = nn.Conv2d(config.width, 1, 3, padding=1)
        self.dense_out = nn.Linear(height * width // config.patch**2, config.latent_size)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[rows, n]` of clean images `x` `[rows, C, H, W]`."""
        time = x.new_zeros(x.shape[0])
        h, _, _ = self.trunk(x, time, time[:, None])
        features = self.conv_out(silu(self.norm_out(h))).flatten(1)
        logits: Tensor = self.dense_out(silu(features))
        return logits


class NoLatent(nn.Module):
    """The encoder of a model without a latent."""

    def forward(self, x: Tensor) -> Tensor:
        """No logits, `[rows, 0]`."""
        return x.new_zeros(x.shape[0], 0)


def top_k(logits: Tensor, k: int) -> Tensor:
    """k-hot latent `[rows, n]` of the k largest logits; ties go to the lower index."""
    chosen = logits.argsort(dim=1, descending=True, stable=True)[:, :k]
    return torch.zeros_like(logits).scatter(1, chosen, 1.0)


def sum_of_gamma(gammas: Tensor, k: int) -> Tensor:
    """Noise `[rows, n]` whose top-k choice follows the logits.

    `gammas` `[10, rows, n]` are draws of Gamma(1/k, 1). The sum of k such noises is the largest of
    ten exponentials less log 10, which is Gumbel noise but for the cut at ten terms (Niepert et
    al., 2021, section 3.2).
    """
    ranks = torch.arange(1, GAMMA_TERMS + 1, dtype=gammas.dtype, device=gammas.device)
    return (k * gammas / ranks[:, None, None]).sum(0) / k - math.log(GAMMA_TERMS) / k


def official_noise(gammas: Tensor, k: int) -> Tensor:
    """What the released MULAN code adds instead: rates read as scales, times 10.

    At k = 15 its spread is 0.2, at k = 1 it is 196, which drowns any logit.
    """
    ranks = torch.arange(1, GAMMA_TERMS + 1, dtype=gammas.dtype, device=gammas.device)
    total = (ranks[:, None, None] * gammas / k).sum(0)
    return GAMMA_TERMS / k * (total - math.log(GAMMA_TERMS))


def relaxed_top_k(logits: Tensor, k: int) -> Tensor:
    """k-hot forwards, identity backwards: the straight-through estimator."""
    return (top_k(logits, k) - logits).detach() + logits


def categorical_kl(logits: Tensor) -> Tensor:
    """MuLAN's latent term `[rows]` in nats: KL from one n-way categorical to the uniform."""
    if not logits.shape[1]:
        return logits.sum(1)
    log_q = log_softmax(logits, dim=1)
    return (log_q.exp() * (log_q + math.log(logits.shape[1]))).sum(1)


def mutual_information(logits: Tensor) -> Tensor:
    """What z tells about its image, in nats, a scalar: the spread of q(z|x) around its mean over
    the batch. `categorical_kl` is this plus the mean's own KL to the uniform (Hoffman & Johnson,
    2016)."""
    if not logits.shape[1]:
        return logits.sum()
    log_q = log_softmax(logits, dim=1)
    log_mean = log_q.logsumexp(0) - math.log(len(log_q))
    return (log_q.exp() * (log_q - log_mean)).sum(1).mean()
