"""Likelihoods as the authors' code estimates them. These are not bounds, so they are kept apart.

The estimator is that of Sahoo et al. (2024), section 3.5, with what the released code does: its
constants, the KL of one categorical for the latent, one adaptive solve for a whole batch, and
dequantization without alpha_0. Decision record 3 says why the service does otherwise.
"""

import math
import sys
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from models.evaluation.likelihood.adaptive import follow, solve
from models.evaluation.measurement import EvaluationRecord, Measurement
from models.network.encoder import categorical_kl, top_k
from models.network.pixels import tokens_to_data
from models.network.schedule import NoiseLevel
from models.rows.denoiser import Denoiser
from models.rows.rows import Condition, Query

Grid = NDArray[np.float64]
# Constants of the released code, which ignores the configuration here.
GAMMA_0 = -13.3
CUT = 3.0
MASS_WITHIN_CUT = 0.9974613
ENTROPY_DEFICIT = 0.01522
SMALL_VARIANCE = 1e-3
TOLERANCE = 1e-5
LOG_SIGMA_0 = 0.5 * (GAMMA_0 - math.log1p(math.exp(GAMMA_0)))


class Flow:
    """The probability-flow ODE of some rows and the trace of its Jacobian by fixed probes.

    The networks answer in `dtype`. The state is one float64 vector: all images, then one
    log-density for each. `high_precision` is the released code's name for using exp(gamma/2) in
    place of a small sigma, which is less precise; its evaluation never asks for it.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        condition: Condition,
        probes: Tensor,
        dtype: torch.dtype,
        high_precision: bool = False,
    ) -> None:
        """Set up the flow for `probes` `[rows, C, H, W]`."""
        self.denoiser, self.condition = denoiser, condition
        self.probes, self.dtype = probes.double(), dtype
        self.high_precision = high_precision

    def drift(self, x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """Return dx/dt `[rows, C, H, W]` = gamma' sigma (eps - sigma x) / 2, and J^T of the
        probes."""
        schedule, rows = self.condition.schedule, len(x)
        times = torch.full((rows,), t, dtype=torch.float64, device=x.device)
        noise = schedule.noise(times)
        outer = self._replaced(noise) if self.high_precision else noise.sigma
        # A velocity network predicts eps - sigma x by the exact sigma: only the factor is replaced.
        of_noise = self.denoiser.config.parameterisation == "epsilon"
        sigma = outer if of_noise else noise.sigma
        weight = 0.5 * schedule.dgamma_dt(times) * outer
        cotangents = (weight * self.probes).to(self.dtype)[:, None]
        answer = self.denoiser.evaluate(Query(x.to(self.dtype), times, cotangents), self.condition)
        assert answer.vjps is not None
        pulled = answer.vjps[:, 0].double() - weight * sigma * self.probes
        return weight * (answer.eps.double() - sigma * x), pulled

    def _replaced(self, noise: NoiseLevel) -> Tensor:
        return torch.where(noise.sigma.square() <= SMALL_VARIANCE, noise.rho, noise.sigma)

    def __call__(self, t: float, state: Grid) -> Grid:
        """Return the derivative of the whole state."""
        x, _ = self.unpack(state)
        slope, pulled = self.drift(x, t)
        return self.pack(slope, (pulled * self.probes).flatten(1).sum(1))

    def pack(self, x: Tensor, log_density: Tensor) -> Grid:
        """Concatenate images and log-densities into one state vector."""
        parts = (x.reshape(-1), log_density.double())
        packed: Grid = torch.cat(parts).cpu().numpy()
        return packed

    def unpack(self, state: Grid) -> tuple[Tensor, Tensor]:
        """Split a state vector into images `[rows, C, H, W]` and log-densities `[rows]`."""
        rows = len(self.probes)
        whole = torch.from_numpy(state).to(self.probes.device)
        return whole[:-rows].reshape(self.probes.shape), whole[-rows:]


class PaperDraw(NamedTuple):
    """One dequantization of `rows` images, in nats.

    `log_p` = `prior` + `delta`, and `log_q` is the log-density of the noise, `[rows]` each. `x1` is
    the state at t = 1, `times` are those between accepted steps.
    """

    prior: Tensor
    delta: Tensor
    log_q: Tensor
    x1: Tensor
    times: Grid
    nfe: int

    @property
    def log_p(self) -> Tensor:
        """The log-density of the dequantized images, in data units."""
        return self.prior + self.delta


def paper_draw(
    denoiser: Denoiser,
    tokens: Tensor,
    noise: Tensor,
    probes: Tensor,
    *,
    tolerance: float = TOLERANCE,
    times: Grid | None = None,
    dtype: torch.dtype = torch.float32,
) -> PaperDraw:
    """Solve the ODE for images `tokens` `[rows, C, H, W]`, all in one solve.

    `noise` is standard normal truncated at ±3 and `probes` are ±1, both shaped as `tokens`. With
    `times` the steps end at these; else they are controlled with rtol = atol = `tolerance`.
    """
    config = denoiser.config
    clean = tokens_to_data(tokens, config)
    latent = top_k(denoiser.encode(clean.to(dtype)), config.latent_k)
    flow = Flow(denoiser, denoiser.condition(latent), probes, dtype)
    x0 = clean + noise.double() * math.exp(0.5 * GAMMA_0)
    start = flow.pack(x0, torch.zeros(len(tokens), device=tokens.device))
    if times is None:
        solved = solve(flow, 0.0, 1.0, start, tolerance)
    else:
        solved = follow(flow, start, times)
    x1, delta = flow.unpack(solved.state)
    log_q = _log_normal(noise.double()) - config.dimensions * math.log(MASS_WITHIN_CUT)
    return PaperDraw(_log_normal(x1), delta, log_q, x1, solved.times, solved.nfe)


def paper_sample(
    denoiser: Denoiser,
    latent: Tensor,
    prior: Tensor,
    *,
    tolerance: float = TOLERANCE,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, int]:
    """Solve the ODE from `prior` `[rows, C, H, W]` at t = 1 to t = 0, all rows in one solve.

    `latent` is `[rows, n]`. Returns the states at t = 0 and the number of evaluations.
    """
    flow = Flow(denoiser, denoiser.condition(latent), torch.zeros_like(prior), dtype)

    def slope(t: float, state: Grid) -> Grid:
        x = torch.from_numpy(state).reshape(prior.shape).to(prior.device)
        found: Grid = flow.drift(x, t)[0].reshape(-1).cpu().numpy()
        return found

    start = prior.double().reshape(-1).cpu().numpy()
    solved = solve(slope, 1.0, 0.0, start, tolerance)
    return torch.from_numpy(solved.state).reshape(prior.shape).to(prior.device), solved.nfe


def paper_bits(draws: list[PaperDraw], kl: Tensor, dimensions: int) -> Tensor:
    """Return bits/dim `[rows]` from draws of the same images; `kl` `[rows]` is their latent term.

    From one draw the noise's entropy is taken in closed form; several are averaged by importance
    weights.
    """
    if len(draws) == 1:
        nats = kl - draws[0].log_p
        offset = 0.5 * (1 + math.log(2 * math.pi)) - ENTROPY_DEFICIT + LOG_SIGMA_0
    else:
        weights = torch.stack([draw.log_p - draw.log_q for draw in draws])
        nats = kl + math.log(len(draws)) - weights.logsumexp(0)
        offset = LOG_SIGMA_0
    return nats / (dimensions * math.log(2)) - offset / math.log(2)


def paper_kl(denoiser: Denoiser, tokens: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the latent term `[rows]` in nats, the KL of one categorical although z has k ones."""
    clean = tokens_to_data(tokens, denoiser.config).to(dtype)
    return categorical_kl(denoiser.encode(clean)).double()


def _log_normal(x: Tensor) -> Tensor:
    """Return the standard normal log-density `[rows]`."""
    return -0.5 * (x.square() + math.log(2 * math.pi)).flatten(1).sum(1)


class PaperEvaluation(EvaluationRecord):
    """Bits/dim by the authors' estimator, not a bound. `nfe` counts the evaluations of one
    solve."""

    images: int
    draws: int
    tolerance: float
    bits: Measurement
    nfe: float


def evaluate_paper(
    denoiser: Denoiser,
    tokens: Tensor,
    *,
    seed: int,
    draws: int = 1,
    batch: int = 64,
    tolerance: float = TOLERANCE,
) -> PaperEvaluation:
    """Run the estimator on images `tokens` `[N, C, H, W]`, `batch` in one solve, with noise by
    `seed`."""
    generator = torch.Generator().manual_seed(seed)
    bits, evaluations = [], []
    for part in tqdm(torch.split(tokens, batch), "the authors' estimator", file=sys.stderr):
        solved = [
            paper_draw(denoiser, part, *_noise(part, generator), tolerance=tolerance)
            for _ in range(draws)
        ]
        bits.append(paper_bits(solved, paper_kl(denoiser, part), denoiser.config.dimensions))
        evaluations += [draw.nfe for draw in solved]
    return PaperEvaluation(
        images=len(tokens),
        draws=draws,
        tolerance=tolerance,
        bits=Measurement.of(torch.cat(bits).cpu()),
        nfe=sum(evaluations) / len(evaluations),
    )


def _noise(tokens: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return truncated normals at ±3 and random signs for each pixel."""
    uniforms, coins = torch.rand(2, *tokens.shape, generator=generator, dtype=torch.float64)
    edge = math.erf(CUT / math.sqrt(2))
    normals = math.sqrt(2) * torch.erfinv((2 * uniforms - 1) * edge)
    return normals.to(tokens.device), (2.0 * (coins < 0.5) - 1).to(tokens.device)
