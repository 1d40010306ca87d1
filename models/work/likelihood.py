"""The likelihood of images: pixel tokens become rows of an ODE solve, and finished rows a score.

The formulas are those of MuLAN (Sahoo et al., 2024), section 3.5 and the appendix on likelihood,
with a truncated normal that fills a bin as dequantization (Zheng et al., ICML 2023), whose own
density is kept for each row.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.network.pixels import tokens_to_data
from models.rows.denoiser import Denoiser
from models.rows.latents import chosen as chosen_latent
from models.rows.noise import Stream, rademacher, uniform
from models.rows.rows import QUANTUM, NoiseKey, first, pad
from models.rows.subsets import draw_subset, log_probability
from models.schema.config import ModelConfig
from models.schema.ode_error import UNCALIBRATED, OdeErrorScales
from models.schema.scores import Score
from models.schema.specs import Adams, Rk45
from models.solvers.base import Problem, RowStatus, column, count_column
from models.solvers.flow import Columns, LogDensity
from models.solvers.probing import TraceError, cycle_of
from models.work.precision import variances


class Dequantized(NamedTuple):
    """Images `[rows, C, H, W]` inside their tokens' bins, in data units, float64.

    `cost` `[rows]` is minus the log-density of the noise in units of x at t = 0.
    """

    image: Tensor
    cost: Tensor


class Chosen(NamedTuple):
    """The k-hot latents `[rows, n]` and the logs of prior over proposal probability `[rows]`."""

    latent: Tensor
    log_weight: Tensor


class Place(NamedTuple):
    """The place of a row in a score: an image, by its position, one of its draws, and the number of
    the solve, for solves of one draw differ in their probes."""

    image: int
    draw: int
    solve: int = 0


def score_problem(
    denoiser: Denoiser,
    tokens: Tensor,
    spec: Adams | Rk45,
    seed: int | Sequence[int],
    draws: int,
    classes: Sequence[int] | None = None,
    error_scales: OdeErrorScales = UNCALIBRATED,
) -> Problem[Columns]:
    """Return the rows for images `tokens` `[N, C, H, W]`, uint8: `draws` of one image, then of the
    next. `seed` is the same for all images, or has one for each. `classes` names the class of each
    image, of a model that has classes. `error_scales` are the manifest's
    `ode_error_scales`."""
    places = [Place(image, draw) for image in range(len(tokens)) for draw in range(draws)]
    return score_rows(denoiser, tokens, spec, seed, places, classes, error_scales)


def score_rows(
    denoiser: Denoiser,
    tokens: Tensor,
    spec: Adams | Rk45,
    seed: int | Sequence[int],
    places: Sequence[Place],
    classes: Sequence[int] | None = None,
    error_scales: OdeErrorScales = UNCALIBRATED,
) -> Problem[Columns]:
    """Return a row for each of `places` in images `tokens` `[N, C, H, W]`, uint8. `seed` is the
    same for all images, or has one for each. `classes` names the class of each image, of a model
    that has classes.

    All noise is keyed by (seed, the image's content), the dequantization and a sampled latent also
    by the number of the draw, the probes by that of the solve; so the draws of one image share its
    probes. `error_scales` are the manifest's `ode_error_scales`. The encoder runs once for each
    image. Raises EvaluationError where the model has classes and none is named, and conversely.
    """
    config, device = denoiser.config, tokens.device
    clean = tokens_to_data(tokens, config)
    logits, seeds = denoiser.encode(clean.float()), content_seeds(seed, tokens)
    # What follows is computed without tails, and once for each row.
    where = pad(torch.tensor(places, dtype=torch.int64).view(-1, len(Place._fields)), QUANTUM)
    image, number, solve = where.to(device).unbind(1)
    key = NoiseKey(seeds[image], number)
    told = None if classes is None else torch.tensor(classes, device=device)[image]
    chosen = choose_latent(config, logits[image], spec, key, told)
    dequantized = dequantize(config, clean[image], key)
    columns = Columns(
        dequantized.image,
        trace_vectors(config, spec, seeds)[image],
        count_column(cycle_of(spec.probes) if spec.fresh_probes else 0, len(image), device),
        solve,
        dequantized.cost,
        chosen.log_weight,
        column(spec.tolerance_nats, len(image), device),
        count_column(spec.max_evaluations, len(image), device),
        column(error_scales.x, len(image), device),
        column(error_scales.whole, len(image), device),
        torch.tensor(error_scales.steps, dtype=torch.float64).to(device).repeat(len(image), 1),
    )
    problem = Problem(key, denoiser.condition(chosen.latent), columns)
    return first(problem, len(places))


def choose_latent(
    config: ModelConfig,
    logits: Tensor,
    spec: Adams | Rk45,
    key: NoiseKey,
    classes: Tensor | None = None,
) -> Chosen:
    """Return for each row of encoder `logits` `[rows, n]` the k largest, or a random draw; or the
    `classes` `[rows]` that are named, one-hot, at no cost.

    The proposal of a draw has exact probabilities (`subsets`), so log-mean-exp over draws is an
    importance-weighted bound (Burda et al., 2016).
    """
    k = config.latent_k
    if config.classes or spec.latent == "encoded":
        latent = chosen_latent(config, logits, classes)
        log_q = torch.zeros(len(logits), dtype=torch.float64, device=logits.device)
    else:
        latent = draw_subset(logits, k, uniform(key, Stream.LATENT, 0, (config.latent_size,)))
        log_q = log_probability(logits, latent, k)
    return Chosen(latent, -config.log_latents - log_q)


def trace_vectors(config: ModelConfig, spec: Adams | Rk45, seeds: Tensor) -> Tensor:
    """Return the cotangents `[N, products, C, H, W]` for the trace of images with noise `seeds`
    `[N]`.

    They are random signs, or for an exact trace sqrt(D) e_i for every dimension i, whose mean is
    the trace itself.
    """
    shape = (spec.products(config.dimensions), *config.chw)
    if spec.trace == "exact":
        unit = torch.eye(config.dimensions, device=seeds.device).view(shape)
        return (math.sqrt(config.dimensions) * unit).expand(len(seeds), *shape)
    return rademacher(NoiseKey(seeds, torch.zeros_like(seeds)), Stream.PROBE, 0, shape)


def content_seeds(seed: int | Sequence[int], tokens: Tensor) -> Tensor:
    """Return the noise seeds `[N]` of images `tokens` `[N, C, H, W]`, under one seed for all or one
    for each."""
    each = [seed] * len(tokens) if isinstance(seed, int) else seed
    pairs = zip(each, tokens, strict=True)
    return torch.tensor([content_seed(*pair) for pair in pairs], device=tokens.device)


def content_seed(seed: int, image: Tensor) -> int:
    """Return the noise seed of one image's tokens `[C, H, W]`, a hash of `seed` and the content."""
    content = image.cpu().contiguous().numpy().tobytes()
    text = f"{seed} {tuple(image.shape)} ".encode()
    return int.from_bytes(hashlib.sha256(text + content).digest()[:8], "little", signed=True)


def dequantize(config: ModelConfig, clean: Tensor, key: NoiseKey) -> Dequantized:
    """Add e^(gamma_0/2) n to bin centres `clean` `[rows, C, H, W]`, n normal and truncated at the
    edges.

    The cost is the sum of log sigma_0 + n^2/2 + log(2 pi)/2 + log of the normal mass in a bin.
    """
    scale = math.exp(0.5 * config.gamma_min)
    mass = math.erf(1 / (scale * config.bins) / math.sqrt(2))
    signs = 2 * uniform(key, Stream.DEQUANTIZE, 0, config.chw) - 1
    n = math.sqrt(2) * torch.erfinv(signs * mass)
    constant = config.log_sigma0 + 0.5 * math.log(2 * math.pi) + math.log(mass)
    cost = config.dimensions * constant + 0.5 * n.square().flatten(1).sum(1)
    return Dequantized(clean + scale * n, cost)


def averaged(solves: Sequence[LogDensity]) -> LogDensity:
    """Return the densities of rows from several solves of them, with other probes each and the same
    number of them: each solve's log-dets are beside those of the others, and `nfe` is of all."""
    if len(solves) == 1:
        return solves[0]
    first_one, count = solves[0], len(solves)
    traces = [one.trace for one in solves]
    variance = torch.stack([trace.variance for trace in traces])
    spread = (variance.square() / torch.stack([trace.freedom for trace in traces])).sum(0)
    return first_one._replace(
        prior=torch.stack([one.prior for one in solves]).mean(0),
        log_det=torch.cat([one.log_det for one in solves], 1),
        # Satterthwaite's formula once more.
        trace=TraceError(variance.sum(0) / count**2, variance.sum(0).square() / spread),
        error=torch.stack([one.error for one in solves]).mean(0),
        nfe=torch.stack([one.nfe for one in solves]).sum(0),
        # Failures have higher numbers than the end.
        status=torch.stack([one.status for one in solves]).amax(0),
    )


def summarise(config: ModelConfig, density: LogDensity, spec: Adams | Rk45) -> Score:
    """Return the score of one image from the finished rows of its draws.

    If a row failed, its status is the reason. An exact trace has no standard error over probes, and
    with sampled latents there is no `log_px_given_z`.
    """
    nfe = int(density.nfe.sum())
    failed = density.status[density.status != RowStatus.DONE].tolist()
    if failed:
        return Score(nfe, reason=RowStatus(failed[0]).reason)
    draws = len(density.prior)
    given = density.prior + density.log_det.mean(1) + density.dequantization
    weights = given + density.latent
    log_px, bound = (float(one.logsumexp(0)) - math.log(draws) for one in (given, weights))
    if not (math.isfinite(log_px) and math.isfinite(bound)):
        return Score(nfe, reason=RowStatus.NOT_FINITE.reason)
    share = weights.softmax(0)
    trace = None if spec.trace == "exact" else _trace_error(density, share)
    spread, ode = standard_error(share * draws), float((share * density.error).sum())
    told = trace is not None or spec.trace == "exact"
    return Score(
        nfe=nfe,
        log_px_given_z=log_px if spec.latent == "encoded" else None,
        log_px_lower_bound=bound,
        bits_per_dim=-bound / (config.dimensions * math.log(2)),
        trace_standard_error=None if trace is None else trace[0],
        trace_degrees_of_freedom=None if trace is None else trace[1],
        draw_standard_error=spread,
        ode_error_estimate=ode,
        total_standard_error=variances(trace, spread, draws, ode).total if told else None,
        prior=float(density.prior.mean()),
        log_det=float(density.log_det.mean()),
        dequantization=float(density.dequantization.mean()),
        latent=float(density.latent.mean()),
    )


def _trace_error(density: LogDensity, share: Tensor) -> tuple[float, float] | None:
    """Return the standard error from the probes and its degrees of freedom, or None where one fixed
    probe tells nothing.

    To first order, log-mean-exp weights each draw's error by its `share` `[draws]`. Draws have the
    probes in common, so their errors are added as if they were one and the same; the sum is never
    too small.
    """
    if density.trace.variance.isnan().any():
        return None
    error = float((share * density.trace.variance.sqrt()).sum())
    return error, float(density.trace.freedom.min())


def standard_error(values: Tensor) -> float | None:
    """Return the standard error of the mean of `values` `[m]`, or None for fewer than two."""
    return float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else None
