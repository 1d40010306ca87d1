"""The latent: the encoder's logits, the k-hot choice, its cost and its relaxation in training."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, silu

from models.network.unet import NORM_EPSILON, Trunk
from models.schema.mulan import MulanConfig

GAMMA_TERMS = 10


class Encoder(nn.Module):
    """The official encoder: the score network's down blocks and middle, a convolution, a dense
    layer."""

    def __init__(self, config: MulanConfig) -> None:
        super().__init__()
        height, width, _ = config.image_shape
        self.trunk = Trunk(config, config.encoder_depth, conditions=1)
        self.norm_out = nn.GroupNorm(config.groups, config.width, eps=NORM_EPSILON)
        self.conv_out = nn.Conv2d(config.width, 1, 3, padding=1)
        self.dense_out = nn.Linear(height * width // config.patch**2, config.latent_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `[rows, n]` of clean images `x` `[rows, C, H, W]`."""
        time = x.new_zeros(x.shape[0])
        h, _, _ = self.trunk(x, time, time[:, None])
        features = self.conv_out(silu(self.norm_out(h))).flatten(1)
        logits: Tensor = self.dense_out(silu(features))
        return logits


def top_k(logits: Tensor, k: int) -> Tensor:
    """Return the k-hot latent `[rows, n]` of the k largest logits; ties go to the lower index."""
    chosen = logits.argsort(dim=1, descending=True, stable=True)[:, :k]
    return torch.zeros_like(logits).scatter(1, chosen, 1.0)


def sum_of_gamma(gammas: Tensor, k: int) -> Tensor:
    """Return noise `[rows, n]` that makes the top-k choice a sample (Niepert et al., 2021, section
    3.2).

    `gammas` `[10, rows, n]` are draws of Gamma(1/k, 1). The sum of k such noises is distributed as
    the largest of ten exponentials less log 10, which is Gumbel noise except for the cut at ten
    terms.
    """
    ranks = torch.arange(1, GAMMA_TERMS + 1, dtype=gammas.dtype, device=gammas.device)
    return (k * gammas / ranks[:, None, None]).sum(0) / k - math.log(GAMMA_TERMS) / k


def official_noise(gammas: Tensor, k: int) -> Tensor:
    """Return the noise that the released MULAN code adds, with rates read as scales and a factor of
    10.

    At k = 15 its spread is 0.2; at k = 1 it is 196, which is larger than any logit.
    """
    ranks = torch.arange(1, GAMMA_TERMS + 1, dtype=gammas.dtype, device=gammas.device)
    total = (ranks[:, None, None] * gammas / k).sum(0)
    return GAMMA_TERMS / k * (total - math.log(GAMMA_TERMS))


def relaxed_top_k(logits: Tensor, k: int) -> Tensor:
    """Return the k-hot latent, with the gradient of the logits: the straight-through estimator."""
    return (top_k(logits, k) - logits).detach() + logits


def categorical_kl(logits: Tensor) -> Tensor:
    """Return MuLAN's latent term `[rows]` in nats, the KL from one n-way categorical to the
    uniform."""
    if not logits.shape[1]:
        return logits.sum(1)
    log_q = log_softmax(logits, dim=1)
    return (log_q.exp() * (log_q + math.log(logits.shape[1]))).sum(1)


def mutual_information(logits: Tensor) -> Tensor:
    """Return the information, in nats, that z carries about its image: a scalar over the batch.

    It is the mean KL from q(z|x) to its mean over the batch. The mean of `categorical_kl` is this
    plus the KL from that mean to the uniform (Hoffman & Johnson, 2016).
    """
    if logits.shape[1] < 2:
        return logits.new_zeros(())
    log_q = log_softmax(logits, dim=1)
    log_mean = log_q.logsumexp(0) - math.log(len(log_q))
    return (log_q.exp() * (log_q - log_mean)).sum(1).mean()
