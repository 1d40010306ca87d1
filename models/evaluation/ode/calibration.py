"""The calibration of the error that the ODE's solver estimates of likelihoods."""

import math
from functools import partial

import torch
from torch import Tensor

from models.evaluation.measurement import EvaluationRecord
from models.evaluation.ode.watched import solve_watched
from models.rows.denoiser import Denoiser
from models.schema.errors import EvaluationError
from models.schema.ode_error import OdeErrorScales
from models.schema.specs import Adams
from models.solvers.adams import AdamsSolver
from models.solvers.base import Problem, RowStatus
from models.solvers.flow import Columns, LogDensity
from models.work.likelihood import score_problem

# The share of images whose error the scaled estimate is to cover.
QUANTILE = 0.95
# The factors of the error that x shows: the first one leaves steps almost equal unless x errs far
# more than usual. Errors of equal steps cancel on networks, so it is kept where they are allowed.
X_SCALES = 0.1, 1.0
# The factor of the whole estimate changes the steps, and they change it: another one is tried until
# it covers the images and is at most this many times what they need, a margin for those that were
# not measured; at most so often.
WASTE, MOST_TRIALS = 3.0, 3
# Of images without any error, as those of a closed form may be, the factor is no smaller than this.
LEAST = 0.01


class Trial(EvaluationRecord):
    """Solves with one pair of factors: mean evaluations for each image; the 95th percentile of the
    errors and the median of the scaled estimates, in nats; the share of images that the scaled
    estimates cover; and the factor of the whole estimate that would cover 95 % of these images."""

    x_scale: float
    scale: float
    evaluations: float
    error: float
    estimate: float
    covered: float
    needed: float


class OdeCalibration(EvaluationRecord):
    """All trials on one checkpoint, the last of which has the factors that are kept."""

    name: str
    images: int
    tolerance_nats: float
    reference_steps: int
    trials: tuple[Trial, ...]

    @property
    def scales(self) -> OdeErrorScales:
        """The factors to keep: those of the last trial, or what its solves need."""
        last = self.trials[-1]
        return OdeErrorScales(last.x_scale, max(last.scale, last.needed))


@torch.no_grad()
def calibrate_ode(
    name: str, denoiser: Denoiser, tokens: Tensor, spec: Adams, reference_steps: int, seed: int
) -> OdeCalibration:
    """Find the factors by which the solver's estimate covers the error of 95 % of the images
    `tokens` `[N, C, H, W]`.

    Errors are those against a solve in `reference_steps` equal steps with the same dequantization
    and the same probes, which are fixed, so that the trace's noise is no part of them. Raises
    EvaluationError where a solve fails.
    """
    spec = spec.replaced(probing="fixed")
    problem = partial(score_problem, denoiser, tokens, spec, seed, draws=1)
    reference = _solved(f"{name}: reference", AdamsSolver(reference_steps), denoiser, problem())
    truth = reference.prior + reference.log_det.mean(1)

    def tried(scales: OdeErrorScales) -> Trial:
        label = f"{name}: factors {scales.x:g} and {scales.whole:g}"
        found = _solved(label, AdamsSolver(), denoiser, problem(error_scales=scales))
        return _trial(scales, found, truth)

    trials = list[Trial]()
    for x_scale in X_SCALES:
        trials.append(tried(OdeErrorScales(x=x_scale)))
        if trials[-1].error <= spec.tolerance_nats:
            break
    for _ in range(MOST_TRIALS):
        last = trials[-1]
        if last.scale / WASTE <= last.needed <= last.scale:
            break
        trials.append(tried(OdeErrorScales(last.x_scale, last.needed)))
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
        f"| {found.name}: factors of x, of the whole | evaluations | error, 95th percentile | "
        "estimate, median | covered | factor for 95 % |",
        "|---" * 6 + "|",
    ]
    lines += [
        f"| {trial.x_scale:g}, {trial.scale:.3g} | {trial.evaluations:.0f} | {trial.error:.3f} | "
        f"{trial.estimate:.3f} | {100 * trial.covered:.0f} % | {trial.needed:.3g} |"
        for trial in found.trials
    ]
    return "\n".join(lines)


def _solved(
    label: str, solver: AdamsSolver, denoiser: Denoiser, problem: Problem[Columns]
) -> LogDensity:
    density = solve_watched(label, solver, denoiser, problem)
    failed = density.status[density.status != RowStatus.DONE].tolist()
    if failed:
        raise EvaluationError(f"an image could not be scored: {RowStatus(failed[0]).reason}")
    return density


def _trial(scales: OdeErrorScales, found: LogDensity, truth: Tensor) -> Trial:
    error = (found.prior + found.log_det.mean(1) - truth).abs()
    ratio = error / found.error
    return Trial(
        x_scale=scales.x,
        scale=scales.whole,
        evaluations=float(found.nfe.double().mean()),
        error=_quantile(error),
        estimate=float(found.error.median()),
        covered=float((ratio <= 1).double().mean()),
        needed=_rounded_up(scales.whole * _quantile(ratio)),
    )


def _quantile(values: Tensor) -> float:
    """Return the 95th percentile of `values` `[N]`, interpolated between the largest of few."""
    return float(values.quantile(QUANTILE))


def _rounded_up(value: float) -> float:
    """Return `value` with two significant digits, not less than it is, and at least LEAST."""
    value = max(value, LEAST)
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit) * unit:.2g}")
