"""How likely a model finds images: by the negative ELBO and by the probability-flow ODE."""

import math
import sys
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from tqdm import tqdm

from models.data import Tokens
from models.denoiser import Denoiser
from models.encoder import categorical_kl, top_k
from models.likelihood import score_problem, standard_error, summarise
from models.network import Mulan, tokens_to_data
from models.objective import negative_elbo
from models.rows import take
from models.scores import Score
from models.solve import solve
from models.solvers.rk45 import Rk45Solver
from models.specs import Rk45


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(_Record):
    """A mean over images and its standard error, None for a single image."""

    mean: float
    standard_error: float | None


class Estimate(_Record):
    """One way to the likelihood, in bits/dim: with the latent named under its prior, and with the
    paper's categorical KL in the place of log C(n, k), which is no bound."""

    bound: Figure
    paper: Figure


class OdeEstimate(Estimate):
    """The same by the ODE; the errors are root mean squares over images, in nats."""

    settings: Rk45
    draws: int
    failed: int = Field(description="Images without a number; they are left out.")
    nfe: float = Field(description="Network evaluations of one image, mean.")
    trace_standard_error: float | None
    draw_standard_error: float | None
    ode_error_estimate: float


class LikelihoodEvaluation(_Record):
    """Test bits/dim of one checkpoint. `elbo_draws` are the noise draws of each image."""

    images: int
    seed: int
    elbo_draws: int
    elbo: Estimate
    ode: OdeEstimate


@torch.no_grad()
def evaluate_likelihood(
    model: Mulan,
    denoiser: Denoiser,
    images: Tokens,
    spec: Rk45,
    *,
    draws: int = 1,
    elbo_draws: int = 32,
    seed: int = 0,
    batch: int = 64,
) -> LikelihoodEvaluation:
    """Bits/dim of `images` `[N, H, W, C]` by both ways; `denoiser` runs `model`.

    Raises ArithmeticError when not one image could be scored.
    """
    device = next(model.parameters()).device
    tokens = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(device)
    parts = torch.split(tokens, batch)
    generator = torch.Generator().manual_seed(seed)
    elbo_terms = [
        elbo(model, part, elbo_draws, generator) for part in tqdm(parts, "ELBO", file=sys.stderr)
    ]
    nats, paper_kl = (torch.cat(terms).cpu() for terms in zip(*elbo_terms, strict=True))
    scores = score(denoiser, tokens, spec, seed=seed, draws=draws, batch=batch)
    return LikelihoodEvaluation(
        images=len(images),
        seed=seed,
        elbo_draws=elbo_draws,
        elbo=Estimate(
            bound=_bits(nats + model.config.log_latents, model),
            paper=_bits(nats + paper_kl, model),
        ),
        ode=_ode_estimate(model, scores, paper_kl, spec, draws),
    )


def elbo(
    model: Mulan, tokens: Tensor, draws: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Negative ELBO given z* `[rows]`, a mean over `draws`, and the paper's latent term `[rows]`.

    Noise and times come from the CPU's `generator`; the times of one image are evenly spread.
    """
    clean = tokens_to_data(tokens, model.config.vocabulary).float()
    logits = model.encoder(clean)
    latent = top_k(logits, model.config.latent_k)
    offset = torch.rand(len(tokens), generator=generator)
    total = torch.zeros(len(tokens), dtype=torch.float64, device=tokens.device)
    for draw in range(draws):
        t = ((offset + draw / draws) % 1).to(clean)
        epsilon0, epsilon = torch.randn(2, *clean.shape, generator=generator).to(clean)
        terms = negative_elbo(model, tokens, latent, logits, t, epsilon0, epsilon)
        total += (terms.reconstruction + terms.prior + terms.diffusion).double() / draws
    return total, categorical_kl(logits).double()


def score(
    denoiser: Denoiser, tokens: Tensor, spec: Rk45, *, seed: int, draws: int, batch: int
) -> list[Score]:
    """Scores of `tokens` `[N, C, H, W]` by the ODE, at most `batch` rows at a time where an image's
    draws allow it."""
    solver, scores = Rk45Solver(), []
    for part in tqdm(torch.split(tokens, max(1, batch // draws)), "ODE", file=sys.stderr):
        problem = score_problem(denoiser, part, spec, seed, draws)
        density = solver.density(problem, solve(solver, problem, denoiser))
        rows = torch.split(torch.arange(len(part) * draws, device=tokens.device), draws)
        scores += [summarise(denoiser.config, take(density, row)) for row in rows]
    return scores


def _ode_estimate(
    model: Mulan, scores: Sequence[Score], paper_kl: Tensor, spec: Rk45, draws: int
) -> OdeEstimate:
    ok = [index for index, score in enumerate(scores) if score.ok]
    if not ok:
        raise ArithmeticError(f"no image could be scored: {scores[0].reason}")
    nats = -_column(scores, ok, "log_px_given_z")
    return OdeEstimate(
        bound=_bits(nats + model.config.log_latents, model),
        paper=_bits(nats + paper_kl[ok], model),
        settings=spec,
        draws=draws,
        failed=len(scores) - len(ok),
        nfe=float(_column(scores, ok, "nfe").mean()),
        trace_standard_error=None if spec.probes == 1 else _rms(scores, ok, "trace_standard_error"),
        draw_standard_error=None if draws == 1 else _rms(scores, ok, "draw_standard_error"),
        ode_error_estimate=_rms(scores, ok, "ode_error_estimate"),
    )


def _column(scores: Sequence[Score], rows: Sequence[int], field: str) -> Tensor:
    values: list[Any] = [getattr(scores[row], field) for row in rows]
    return torch.tensor(values, dtype=torch.float64)


def _rms(scores: Sequence[Score], rows: Sequence[int], field: str) -> float:
    return float(_column(scores, rows, field).square().mean().sqrt())


def _bits(nats: Tensor, model: Mulan) -> Figure:
    bits = nats / (model.config.dimensions * math.log(2))
    return Figure(mean=float(bits.mean()), standard_error=standard_error(bits))
