"""Likelihoods of images by the negative ELBO and by the probability-flow ODE."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from tqdm import tqdm

from models.evaluation.likelihood.paper import PaperEvaluation, evaluate_paper
from models.evaluation.measurement import EvaluationRecord, Measurement, bits_per_dimension
from models.evaluation.recorded_data import subset
from models.files.images import Tokens
from models.network.encoder import categorical_kl, top_k
from models.network.network import Network
from models.network.objective import negative_elbo
from models.network.pixels import tokens_to_data
from models.rows.denoiser import Denoiser
from models.rows.rows import take
from models.schema.config import ModelConfig
from models.schema.errors import EvaluationError
from models.schema.ode_error import UNCALIBRATED, OdeErrorScales
from models.schema.scores import Score
from models.schema.specs import Adams, FlowSpec
from models.solvers.adams import AdamsSolver, LastStep
from models.solvers.adaptive import State
from models.solvers.base import Problem, RowStatus
from models.solvers.flow import Columns
from models.work.likelihood import score_problem, summarise
from models.work.solve import solve

BATCH = 64
ELBO_DRAWS = 32
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} [{elapsed}<{remaining}{postfix}]"


class Estimate(EvaluationRecord):
    """Bits/dim by one estimator.

    `bound` prices the latent under its prior with log C(n, k); `paper` has the paper's categorical
    KL in its place and is not a bound.
    """

    images: int
    bound: Measurement
    paper: Measurement


class OdeEstimate(Estimate):
    """Bits/dim by the ODE. The errors are root mean squares over images, in nats."""

    settings: FlowSpec
    draws: int
    failed: int = Field(description="Number of images that could not be scored; they are left out.")
    nfe: float = Field(description="Mean number of network evaluations for one image.")
    trace_standard_error: float | None
    median_trace_standard_error: float | None = Field(
        None,
        exclude_if=lambda error: error is None,
        description="The median over images. Records made before it was measured have none.",
    )
    draw_standard_error: float | None
    ode_error_estimate: float


class LikelihoodEvaluation(EvaluationRecord):
    """Bits/dim of one checkpoint. `elbo_draws` is the number of noise draws for each image."""

    seed: int
    elbo_draws: int
    elbo: Estimate
    ode: OdeEstimate
    paper: PaperEvaluation | None = Field(
        None, description="The authors' estimator, on the same images as the ODE."
    )


class ElboTerms(NamedTuple):
    """Terms of the negative ELBO in nats, `[N]` float64 on the CPU."""

    given_latent: Tensor
    categorical_kl: Tensor

    def estimate(self, config: ModelConfig) -> Estimate:
        """Return means in bits/dim with either latent term."""
        return _estimate(config, self.given_latent, self.categorical_kl)


@torch.no_grad()
def evaluate_likelihood(
    model: Network,
    denoiser: Denoiser,
    images: Tokens,
    spec: Adams,
    *,
    draws: int = 1,
    elbo_draws: int = ELBO_DRAWS,
    ode_images: int | None = None,
    seed: int = 0,
    batch: int = BATCH,
    paper: bool = False,
    ode_error_scales: OdeErrorScales = UNCALIBRATED,
) -> LikelihoodEvaluation:
    """Measure bits/dim of `images` `[N, H, W, C]` by the ELBO and by the ODE; `denoiser` runs
    `model`.

    The ODE needs some hundred evaluations for each image, so it solves only `ode_images` of them;
    with `paper` the authors' own estimator is computed on the same ones. `ode_error_scales` is the
    manifest's. Raises EvaluationError
    when no image could be scored.
    """
    elbo = elbo_terms(model, images, seed, elbo_draws).estimate(model.config)
    solved = _on_device(model, subset(images, ode_images, seed))
    logits = torch.cat([_encode(model, part) for part in torch.split(solved, BATCH)])
    scores = score(
        denoiser, solved, spec, seed=seed, draws=draws, batch=batch, error_scales=ode_error_scales
    )
    return LikelihoodEvaluation(
        seed=seed,
        elbo_draws=elbo_draws,
        elbo=elbo,
        ode=_ode_estimate(model.config, scores, categorical_kl(logits).cpu(), spec, draws),
        paper=evaluate_paper(denoiser, solved, seed=seed, draws=draws, batch=batch)
        if paper
        else None,
    )


@torch.no_grad()
def elbo_terms(model: Network, images: Tokens, seed: int, draws: int = ELBO_DRAWS) -> ElboTerms:
    """Return the negative ELBO of `images` `[N, H, W, C]` given z*, a mean over `draws`, and the
    paper's KL.

    Noise and times come from a CPU generator by `seed`, the same for every model; the times of one
    image are evenly spread.
    """
    generator = torch.Generator().manual_seed(seed)
    batches = torch.split(_on_device(model, images), BATCH)
    with tqdm(total=len(images) * draws, desc="ELBO, draws", file=sys.stderr, leave=False) as bar:
        parts = [_elbo(model, tokens, draws, generator, bar) for tokens in batches]
    return ElboTerms(*(torch.cat(terms).cpu() for terms in zip(*parts, strict=True)))


def _elbo(
    model: Network, tokens: Tensor, draws: int, generator: torch.Generator, bar: "tqdm[None]"
) -> ElboTerms:
    logits = _encode(model, tokens)
    latent = top_k(logits, model.config.latent_k)
    offset = torch.rand(len(tokens), generator=generator)
    total = torch.zeros(len(tokens), dtype=torch.float64, device=tokens.device)
    for draw in range(draws):
        t = ((offset + draw / draws) % 1).to(logits)
        epsilon0, epsilon = torch.randn(2, *tokens.shape, generator=generator).to(logits)
        terms = negative_elbo(model, tokens, latent, logits, t, epsilon0, epsilon)
        total += (terms.reconstruction + terms.prior + terms.diffusion).double() / draws
        bar.update(len(tokens))
    return ElboTerms(total, categorical_kl(logits).double())


def score(
    denoiser: Denoiser,
    tokens: Tensor,
    spec: Adams,
    *,
    seed: int,
    draws: int,
    batch: int,
    error_scales: OdeErrorScales = UNCALIBRATED,
) -> list[Score]:
    """Score `tokens` `[N, C, H, W]` by the ODE, at most `batch` rows at a time unless one image has
    more. `error_scales` are the manifest's `ode_error_scales`."""
    solver, scores = AdamsSolver(), []
    with tqdm(total=len(tokens), desc="ODE, images", bar_format=BAR, file=sys.stderr) as bar:
        for part in torch.split(tokens, max(1, batch // draws)):
            problem = score_problem(denoiser, part, spec, seed, draws, error_scales=error_scales)
            state = solve(solver, problem, denoiser, _follow(bar, solver, problem, draws))
            density = solver.density(problem, state)
            rows = torch.split(torch.arange(len(part) * draws, device=tokens.device), draws)
            scores += [summarise(denoiser.config, take(density, row), spec) for row in rows]
            bar.update(len(scores) - bar.n)
    return scores


def _follow(
    bar: "tqdm[None]", solver: AdamsSolver, problem: Problem[Columns], draws: int
) -> Callable[[State[LastStep]], None]:
    """Return a callback that advances the bar, in images, by the progress of one batch's rows."""
    before = bar.n

    def show(state: State[LastStep]) -> None:
        done = int((solver.status(problem, state) != RowStatus.RUNNING).sum())
        calls = int(state.nfe.max())
        bar.set_postfix_str(f"{calls} evaluations, {done}/{len(state.s)} rows done", refresh=False)
        come = float(solver.progress(problem, state).sum()) / draws
        bar.update(before + come - bar.n)

    return show


def _ode_estimate(
    config: ModelConfig, scores: Sequence[Score], paper_kl: Tensor, spec: Adams, draws: int
) -> OdeEstimate:
    ok = [index for index, score in enumerate(scores) if score.ok]
    if not ok:
        raise EvaluationError(f"no image could be scored: {scores[0].reason}")
    estimate = _estimate(config, -_column(scores, ok, "log_px_given_z"), paper_kl[ok])
    return OdeEstimate(
        **dict(estimate),
        settings=spec,
        draws=draws,
        failed=len(scores) - len(ok),
        nfe=float(_column(scores, ok, "nfe").mean()),
        trace_standard_error=_rms(scores, ok, "trace_standard_error")
        if spec.states_trace_error
        else None,
        median_trace_standard_error=float(_column(scores, ok, "trace_standard_error").median())
        if spec.states_trace_error
        else None,
        draw_standard_error=None if draws == 1 else _rms(scores, ok, "draw_standard_error"),
        ode_error_estimate=_rms(scores, ok, "ode_error_estimate"),
    )


def _estimate(config: ModelConfig, nats: Tensor, paper_kl: Tensor) -> Estimate:
    return Estimate(
        images=len(nats),
        bound=Measurement.of(bits_per_dimension(nats + config.log_latents, config.dimensions)),
        paper=Measurement.of(bits_per_dimension(nats + paper_kl, config.dimensions)),
    )


def _encode(model: Network, tokens: Tensor) -> Tensor:
    logits: Tensor = model.encoder(tokens_to_data(tokens, model.config).float())
    return logits


def _on_device(model: Network, images: Tokens) -> Tensor:
    """Return tokens `[N, C, H, W]` on the model's device."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(model.device)


def _column(scores: Sequence[Score], rows: Sequence[int], field: str) -> Tensor:
    values: list[Any] = [getattr(scores[row], field) for row in rows]
    return torch.tensor(values, dtype=torch.float64)


def _rms(scores: Sequence[Score], rows: Sequence[int], field: str) -> float:
    return float(_column(scores, rows, field).square().mean().sqrt())
