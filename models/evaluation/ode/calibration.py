"""The calibration of the error that the ODE's solver estimates of likelihoods."""

import math
import sys

import torch
from torch import Tensor
from tqdm import tqdm

from models.evaluation.likelihood.likelihood import BAR
from models.evaluation.measurement import EvaluationRecord
from models.rows.denoiser import Denoiser
from models.schema.errors import EvaluationError
from models.schema.specs import Adams
from models.solvers.adams import AdamsSolver
from models.solvers.base import Problem, RowStatus
from models.solvers.flow import Columns, LogDensity
from models.work.likelihood import score_problem
from models.work.solve import solve

# The share of images whose error the scaled estimate is to cover.
QUANTILE = 0.95
# The factor that is tried first: near what was found on the first of the shipped checkpoints.
FIRST_SCALE = 0.2
# Steps depend on the factor, and the factor on the steps: another one is tried until it is within
# this ratio of the one before, at most so many times.
NEAR, MOST_TRIALS = 1.25, 4


class Trial(EvaluationRecord):
    """Solves with the estimate multiplied by `scale`: mean evaluations for each image; the 95th
    percentile of the errors and the median of the scaled estimates, in nats; the share of images
    that the scaled estimates cover; and the factor that would cover 95 % of these images."""

    scale: float
    evaluations: float
    error: float
    estimate: float
    covered: float
    needed: float


class OdeCalibration(EvaluationRecord):
    """All trials on one checkpoint."""

    name: str
    images: int
    tolerance_nats: float
    reference_steps: int
    trials: tuple[Trial, ...]

    @property
    def scale(self) -> float:
        """The factor to keep: the last one tried, or a larger one that its solves need."""
        return max(self.trials[-1].scale, self.trials[-1].needed)


@torch.no_grad()
def calibrate_ode(
    name: str, denoiser: Denoiser, tokens: Tensor, spec: Adams, reference_steps: int, seed: int
) -> OdeCalibration:
    """Find the factor by which the solver's estimate covers the error of 95 % of the images
    `tokens` `[N, C, H, W]`.

    Errors are those against a solve in `reference_steps` equal steps with the same dequantization
    and the same probes, which are fixed, so that the trace's noise is no part of them. Raises
    EvaluationError where a solve fails.
    """
    spec = spec.replaced(probing="fixed")
    reference = _solved(
        f"{name}: reference",
        AdamsSolver(reference_steps),
        denoiser,
        score_problem(denoiser, tokens, spec, seed, draws=1),
    )
    truth = reference.prior + reference.log_det.mean(1)
    scale, trials = FIRST_SCALE, list[Trial]()
    while len(trials) < MOST_TRIALS:
        problem = score_problem(denoiser, tokens, spec, seed, draws=1, error_scale=scale)
        found = _solved(f"{name}: factor {scale:.3g}", AdamsSolver(), denoiser, problem)
        trials.append(_trial(scale, found, truth))
        needed = trials[-1].needed
        if scale / NEAR <= needed <= scale:
            break
        scale = needed
    return OdeCalibration(
        name=name,
        images=len(tokens),
        tolerance_nats=spec.tolerance_nats,
        reference_steps=reference_steps,
        trials=tuple(trials),
    )


def calibration_table(found: OdeCalibration) -> str:
    """Return the trials as Markdown."""
    lines = [
        f"| {found.name}: factor | evaluations | error, 95th percentile | estimate, median | "
        "covered | factor for 95 % |",
        "|---" * 6 + "|",
    ]
    lines += [
        f"| {trial.scale:.3g} | {trial.evaluations:.0f} | {trial.error:.3f} | "
        f"{trial.estimate:.3f} | {100 * trial.covered:.0f} % | {trial.needed:.3g} |"
        for trial in found.trials
    ]
    return "\n".join(lines)


def _solved(
    label: str, solver: AdamsSolver, denoiser: Denoiser, problem: Problem[Columns]
) -> LogDensity:
    rows = len(problem.columns.image)
    with tqdm(total=rows, desc=label, bar_format=BAR, file=sys.stderr) as bar:
        state = solve(
            solver,
            problem,
            denoiser,
            lambda state: bar.update(float(solver.progress(problem, state).sum()) - bar.n),
        )
    density = solver.density(problem, state)
    failed = density.status[density.status != RowStatus.DONE].tolist()
    if failed:
        raise EvaluationError(f"an image could not be scored: {RowStatus(failed[0]).reason}")
    return density


def _trial(scale: float, found: LogDensity, truth: Tensor) -> Trial:
    error = (found.prior + found.log_det.mean(1) - truth).abs()
    ratio = error / found.error
    return Trial(
        scale=scale,
        evaluations=float(found.nfe.double().mean()),
        error=_quantile(error),
        estimate=float(found.error.median()),
        covered=float((ratio <= 1).double().mean()),
        # Rounding in the manifest must not uncover the last image.
        needed=_rounded_up(scale * _quantile(ratio)),
    )


def _quantile(values: Tensor) -> float:
    """Return the least of `values` `[N]` that `QUANTILE` of them do not exceed."""
    return float(values.quantile(QUANTILE, interpolation="higher"))


def _rounded_up(value: float) -> float:
    """Return `value` with two significant digits, not less than it is."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit) * unit:.2g}")
