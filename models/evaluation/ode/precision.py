"""Likelihoods of which a total error is asked: how often they keep to it, and what they take."""

import sys
from collections.abc import Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from models.evaluation.measurement import EvaluationRecord
from models.evaluation.ode.in_parts import InParts
from models.evaluation.ode.watched import solve_watched
from models.rows.denoiser import Denoiser
from models.rows.rows import split
from models.schema.aims import PROBES, Aim, tolerance
from models.schema.errors import EvaluationError
from models.schema.ode_error import UNCALIBRATED, OdeErrorScales
from models.schema.scores import Score
from models.schema.specs import EXACT_DIMENSIONS, Adams
from models.solvers.adams import AdamsSolver
from models.work.image_solves import ImageSolves
from models.work.likelihood import Place, score_problem, score_rows
from models.work.precision import NORMAL
from models.work.solve import solve

# Equal steps of the reference, as many as the calibration of the ODE's error takes.
REFERENCE_STEPS = 200
_ROWS = 256


class PrecisionRow(EvaluationRecord):
    """Answers of which a total standard error of `nats` was asked: mean evaluations for each image;
    the median of the stated total; the share that says to have reached what was asked; and where
    the trace is affordable, the root of the mean square of the true errors, and the share of stated
    95 % intervals that cover the truth."""

    nats: float
    evaluations: float
    stated: float
    reached: float
    root_mean_square: float | None
    covered: float | None


class PrecisionTable(EvaluationRecord):
    """All rows of one checkpoint."""

    name: str
    images: int
    max_evaluations: int
    rows: tuple[PrecisionRow, ...]


@torch.no_grad()
def precision_table(
    name: str,
    denoiser: Denoiser,
    tokens: Tensor,
    asked: Sequence[float],
    max_evaluations: int,
    seed: int,
    error_scales: OdeErrorScales = UNCALIBRATED,
) -> PrecisionTable:
    """Score images `tokens` `[N, C, H, W]`, uint8, once for each error that is asked of them, as
    the service does with one draw.

    The truth is by the exact trace in 200 equal steps, with the same dequantization; of images of
    more than 64 values it is not computed. `error_scales` are the manifest's
    `ode_error_scales`. Raises EvaluationError where an image cannot be scored.
    """
    truth = None
    if denoiser.config.dimensions <= EXACT_DIMENSIONS:
        truth = _truth(name, denoiser, tokens, seed)
    rows = []
    for nats in asked:
        spec = Adams(
            probes=PROBES,
            tolerance_nats=tolerance(Adams().tolerance_nats, nats),
            max_evaluations=max_evaluations,
        )
        aim = Aim(nats, max_evaluations)
        with tqdm(desc=f"{name}: {nats:g} nats", unit="solve", file=sys.stderr) as bar:
            scores = _scores(denoiser, tokens, spec, aim, seed, error_scales, bar)
        rows.append(_row(nats, scores, truth))
    return PrecisionTable(
        name=name, images=len(tokens), max_evaluations=max_evaluations, rows=tuple(rows)
    )


def precision_text(table: PrecisionTable) -> str:
    """Return the rows as Markdown."""
    lines = [
        f"| {table.name}, {table.images} images: asked | evaluations | stated, median | reached | "
        "error, rms | covered |",
        "|---" * 6 + "|",
    ]
    for row in table.rows:
        error = "" if row.root_mean_square is None else f"{row.root_mean_square:.2f}"
        covered = "" if row.covered is None else f"{100 * row.covered:.1f} %"
        lines.append(
            f"| {row.nats:g} nats | {row.evaluations:.0f} | {row.stated:.2f} | "
            f"{100 * row.reached:.1f} % | {error} | {covered} |"
        )
    return "\n".join(lines)


def _truth(name: str, denoiser: Denoiser, tokens: Tensor, seed: int) -> Tensor:
    """Return the log-densities before dequantization, `[N]`, by the exact trace."""
    problem = score_problem(denoiser, tokens, Adams(trace="exact"), seed, draws=1)
    solver = AdamsSolver(REFERENCE_STEPS)
    density = solve_watched(f"{name}: exact trace, images", solver, InParts(denoiser), problem)
    return density.prior + density.log_det.mean(1)


def _scores(
    denoiser: Denoiser,
    tokens: Tensor,
    spec: Adams,
    aim: Aim,
    seed: int,
    error_scales: OdeErrorScales,
    bar: "tqdm[None]",
) -> list[Score]:
    items = [ImageSolves(denoiser.config, spec, 1, aim) for _ in tokens]
    solver = AdamsSolver()
    while True:
        wanted = [
            Place(number, *place) for number, item in enumerate(items) for place in item.wanted
        ]
        if not wanted:
            return [item.score() for item in items]
        for begin in range(0, len(wanted), _ROWS):
            places = wanted[begin : begin + _ROWS]
            problem = score_rows(denoiser, tokens, spec, seed, places, None, error_scales)
            density = solver.density(problem, solve(solver, problem, denoiser))
            for place, one in zip(places, split(density, [1] * len(places)), strict=True):
                items[place.image].keep(place.draw, place.solve, one)
            bar.update(len(places))
        for item in items:
            item.extend()


def _row(nats: float, scores: Sequence[Score], truth: Tensor | None) -> PrecisionRow:
    failed = [score.reason for score in scores if score.reason is not None]
    if failed:
        raise EvaluationError(f"an image could not be scored: {failed[0]}")
    stated = torch.tensor([score.total_standard_error for score in scores], dtype=torch.float64)
    error = None
    if truth is not None:
        found = [(score.prior or 0.0) + (score.log_det or 0.0) for score in scores]
        error = torch.tensor(found, dtype=torch.float64) - truth
    return PrecisionRow(
        nats=nats,
        evaluations=sum(score.nfe for score in scores) / len(scores),
        stated=float(stated.median()),
        reached=sum(bool(score.precise) for score in scores) / len(scores),
        root_mean_square=None if error is None else float(error.square().mean().sqrt()),
        covered=None if error is None else float((error.abs() <= NORMAL * stated).double().mean()),
    )
