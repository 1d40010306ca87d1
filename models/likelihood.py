"""The likelihood of images: from pixel tokens to rows of an ODE solve, and back to one score.

Formulas: MuLAN (Sahoo et al., 2024), section 3.5 and the appendix on likelihood, with a bin-filling
truncated normal as dequantization (Zheng et al., ICML 2023) whose own density is kept per row.
"""

import hashlib
import math
from typing import NamedTuple

import torch
from torch import Tensor

from models.config import ModelConfig
from models.denoiser import Denoiser
from models.encoder import top_k
from models.network import tokens_to_data
from models.noise import Stream, rademacher, uniform
from models.rows import NoiseKey, take
from models.scores import Score
from models.solvers.base import Problem, Status, column, count_column
from models.solvers.flow import Columns, LogDensity
from models.specs import Adams, Rk45


class Dequantized(NamedTuple):
    """Images `[rows, C, H, W]` inside their tokens' bins, in data units, and minus the log-density
    `[rows]` of the noise in units of x at t = 0; float64."""

    image: Tensor
    cost: Tensor


def score_problem(
    denoiser: Denoiser, tokens: Tensor, spec: Adams | Rk45, seed: int, draws: int
) -> Problem[Columns]:
    """Rows for images `tokens` `[N, C, H, W]` uint8, `draws` each, one image after another.

    All noise is keyed by (seed, the image's content), the dequantization also by the number of the
    draw; the draws of one image share its probes. One pass of the encoder an image.
    """
    config, device = denoiser.config, tokens.device
    clean = tokens_to_data(tokens, config.vocabulary)
    latent = top_k(denoiser.encode(clean.float()), config.latent_k)
    seeds = torch.tensor([content_seed(seed, image) for image in tokens], device=device)
    probes = rademacher(
        NoiseKey(seeds, torch.zeros_like(seeds)), Stream.PROBE, 0, (spec.probes, *config.chw)
    )
    image = torch.arange(len(tokens), device=device).repeat_interleave(draws)
    key = NoiseKey(seeds[image], torch.arange(draws, device=device).repeat(len(tokens)))
    dequantized = dequantize(config, clean[image], key)
    columns = Columns(
        dequantized.image,
        probes[image],
        dequantized.cost,
        column(spec.tolerance_nats, len(image), device),
        count_column(spec.max_evaluations, len(image), device),
    )
    return Problem(key, take(denoiser.condition(latent), image), columns)


def content_seed(seed: int, image: Tensor) -> int:
    """The noise seed of one image's tokens `[C, H, W]`: of its content, wherever it stands."""
    content = image.cpu().contiguous().numpy().tobytes()
    text = f"{seed} {tuple(image.shape)} ".encode()
    return int.from_bytes(hashlib.sha256(text + content).digest()[:8], "little", signed=True)


def dequantize(config: ModelConfig, clean: Tensor, key: NoiseKey) -> Dequantized:
    """Add e^(gamma_0/2) n to bin centres `clean` `[rows, C, H, W]`; n normal, cut at the edges.

    The cost is the sum of log sigma_0 + n^2/2 + log(2 pi)/2 + log of the normal mass in a bin.
    """
    scale = math.exp(0.5 * config.gamma_min)
    mass = math.erf(1 / (scale * config.vocabulary) / math.sqrt(2))
    signs = 2 * uniform(key, Stream.DEQUANTIZE, 0, config.chw) - 1
    n = math.sqrt(2) * torch.erfinv(signs * mass)
    constant = config.log_sigma0 + 0.5 * math.log(2 * math.pi) + math.log(mass)
    cost = config.dimensions * constant + 0.5 * n.square().flatten(1).sum(1)
    return Dequantized(clean + scale * n, cost)


def summarise(config: ModelConfig, density: LogDensity) -> Score:
    """The score of one image from the finished rows of its draws; any failed row is its reason."""
    nfe = int(density.nfe.sum())
    failed = density.status[density.status != Status.DONE].tolist()
    if failed:
        return Score(nfe, reason=Status(failed[0]).reason)
    draws = len(density.prior)
    weights = density.prior + density.log_det.mean(1) + density.dequantization
    log_px = float(weights.logsumexp(0)) - math.log(draws)
    if not math.isfinite(log_px):
        return Score(nfe, reason=Status.NOT_FINITE.reason)
    bound = log_px - config.log_latents
    share = weights.softmax(0)
    # To first order, log-mean-exp weighs each draw's error by its share.
    by_probe = (share[:, None] * density.log_det).sum(0)
    return Score(
        nfe=nfe,
        log_px_given_z=log_px,
        log_px_lower_bound=bound,
        bits_per_dim=-bound / (config.dimensions * math.log(2)),
        trace_standard_error=standard_error(by_probe),
        draw_standard_error=standard_error(share * draws),
        ode_error_estimate=float((share * density.error).sum()),
        prior=float(density.prior.mean()),
        log_det=float(density.log_det.mean()),
        dequantization=float(density.dequantization.mean()),
        latent=-config.log_latents,
    )


def standard_error(values: Tensor) -> float | None:
    """Of the mean of `values` `[m]`; None for fewer than two."""
    return float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else None
