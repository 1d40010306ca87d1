"""The calibration of the error that the ODE's solver estimates of likelihoods."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from models.evaluation.defaults import LEAST_STEPS
from models.evaluation.measurement import EvaluationRecord
from models.evaluation.ode.lengths import even_lengths, steps_of
from models.evaluation.ode.watched import solve_watched
from models.rows.denoiser import Denoiser
from models.schema.errors import EvaluationError
from models.schema.ode_error import UNCALIBRATED, UNMEASURED, OdeErrorScales
from models.schema.specs import Adams
from models.solvers.adams import LONGEST, AdamsSolver, LastStep
from models.solvers.adaptive import State
from models.solvers.base import RowStatus
from models.solvers.flow import LogDensity
from models.work.likelihood import score_problem

# The share of images whose error the scaled estimate is to cover.
QUANTILE = 0.95
# The factor of the error that x shows. Steps are as long as errors that were measured allow, so
# that this error changes them only where it is far more than usual.
X_SCALE = 0.03
# Lengths of steps are fitted to rates at so many even steps.
PILOT_STEPS = 100
# While the error of 95 % of the images is more than the tolerance less a margin for those that were
# not measured, more steps are tried: as many times more as would do if the error fell with the
# fourth power of their length, but at least and at most so many; and at most so often.
MARGIN = 0.7
LEAST_MORE, MOST_MORE, MOST_COUNTS = 1.1, 1.5, 6
# With shorter steps for so much smaller a tolerance, errors have to keep to that as well.
FINER = 0.1
# The factor of the whole estimate changes the steps, and they change it: another one is tried until
# it covers the images and is at most this many times what they need, a margin for those that were
# not measured; at most so often.
WASTE, MOST_TRIALS = 3.0, 3
# The reference's tolerance, at which steps are LONGEST times as long as they are given.
LOOSE_NATS = 10.0
# Of images without any error, as those of a closed form may be, the factor is no smaller than this.
LEAST = 0.01


class Trial(EvaluationRecord):
    """Solves with one pair of factors and steps: the steps of the whole way; mean evaluations for
    each image; the 95th percentile of the errors and the median of the scaled estimates, in nats;
    the 95th percentile of the errors at a tenth of the tolerance; the share of images that the
    scaled estimates cover; and the factor of the whole estimate that would cover 95 % of these
    images at both tolerances."""

    scale: float
    steps: tuple[float, ...]
    evaluations: float
    error: float
    finer_error: float
    estimate: float
    covered: float
    needed: float

    def over(self, tolerance_nats: float) -> float:
        """Return the larger one of the two errors over what is allowed, with the margin."""
        return max(self.error, self.finer_error / FINER) / (MARGIN * tolerance_nats)


class OdeCalibration(EvaluationRecord):
    """All trials on one checkpoint, the last of which has the factors and the steps that are
    kept."""

    name: str
    images: int
    tolerance_nats: float
    reference_steps: int
    trials: tuple[Trial, ...]

    @property
    def scales(self) -> OdeErrorScales:
        """The factors and steps to keep: those of the last trial, or what its solves need."""
        last = self.trials[-1]
        return OdeErrorScales(X_SCALE, max(last.scale, last.needed), last.steps)


@torch.no_grad()
def calibrate_ode(
    name: str,
    denoiser: Denoiser,
    tokens: Tensor,
    spec: Adams,
    reference_steps: int,
    seed: int,
    least_steps: int = LEAST_STEPS,
) -> OdeCalibration:
    """Find the longest steps, at least `least_steps` for the whole way, with which the errors of
    95 % of the images `tokens` `[N, C, H, W]` keep to the tolerance, and the factor by which the
    solver's estimate covers them.

    Steps are longer where the log-det's rate bends less, if that makes the error smaller than with
    the lengths of a network that was not measured: errors of x and of the log-det may cancel where
    steps are even. Errors are those against a solve in `reference_steps` steps of such lengths
    with the same dequantization and the same probes, which are fixed, so that the trace's noise is
    no part of them. Raises EvaluationError where a solve fails, and where the reference has hardly
    more steps than what it judges.
    """
    _check_reference(reference_steps, least_steps)
    spec = spec.replaced(probing="fixed")
    bench = _Bench(name, denoiser, tokens, spec, seed)
    fitted, usual = even_lengths(bench.rates()), torch.tensor(UNMEASURED, dtype=torch.float64)
    truth = bench.reference(steps_of(fitted, LONGEST * reference_steps))

    def error(lengths: Tensor) -> float:
        scales = OdeErrorScales(X_SCALE, 1.0, steps_of(lengths, least_steps))
        found = bench.solved("lengths", scales, 1.0)
        return _quantile((found.prior + found.log_det.mean(1) - truth).abs())

    lengths = min(fitted, usual, key=error)

    def tried(scale: float, count: float) -> Trial:
        _check_reference(reference_steps, count)
        scales = OdeErrorScales(X_SCALE, scale, steps_of(lengths, count))
        label = f"{count:.0f} steps, factor {scale:g}"
        coarse, fine = (bench.solved(label, scales, part) for part in (1.0, FINER))
        return _trial(scales, coarse, fine, truth)

    trials, count = list[Trial](), float(least_steps)
    for _ in range(MOST_COUNTS):
        trials.append(tried(1.0, count))
        over = trials[-1].over(spec.tolerance_nats)
        if over <= 1:
            break
        count *= min(max(over**0.25, LEAST_MORE), MOST_MORE)
    for _ in range(MOST_TRIALS):
        last = trials[-1]
        if last.scale / WASTE <= last.needed <= last.scale:
            break
        trials.append(tried(last.needed, count))
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
        f"| {found.name}: factor | evaluations | error, 95th percentile | of a tenth of the "
        "tolerance | estimate, median | covered | factor for 95 % |",
        "|---" * 7 + "|",
    ]
    lines += [
        f"| {trial.scale:.3g} | {trial.evaluations:.0f} | {trial.error:.3f} | "
        f"{trial.finer_error:.3f} | {trial.estimate:.3f} | {100 * trial.covered:.0f} % | "
        f"{trial.needed:.3g} |"
        for trial in found.trials
    ]
    return "\n".join(lines)


class _Bench:
    """Solves of the same images with the same noise."""

    def __init__(
        self, name: str, denoiser: Denoiser, tokens: Tensor, spec: Adams, seed: int
    ) -> None:
        self._name, self._denoiser = name, denoiser
        self._problem = partial(score_problem, denoiser, tokens, seed=seed, draws=1)
        self._spec = spec

    def rates(self) -> Tensor:
        """Return the derivatives of the log-det at even distances, `[images, points]`."""
        rates = list[Tensor]()
        solver = AdamsSolver(PILOT_STEPS)
        self._solve(
            "even steps",
            solver,
            self._spec,
            UNCALIBRATED,
            lambda state: rates.append(state.own.rate.mean(1)),
        )
        return torch.stack(rates, dim=1)

    def reference(self, steps: tuple[float, ...]) -> Tensor:
        """Return the log-densities before dequantization, `[images]`, with such steps."""
        loose = self._spec.replaced(tolerance_nats=LOOSE_NATS)
        scales = OdeErrorScales(LEAST, 1.0, steps)
        found = self._solve("reference", AdamsSolver(), loose, scales)
        return found.prior + found.log_det.mean(1)

    def solved(self, label: str, scales: OdeErrorScales, part: float) -> LogDensity:
        """Return the densities where that part of the tolerance is allowed."""
        spec = self._spec.replaced(tolerance_nats=part * self._spec.tolerance_nats)
        return self._solve(f"{label}, {spec.tolerance_nats:g} nats", AdamsSolver(), spec, scales)

    def _solve(
        self,
        label: str,
        solver: AdamsSolver,
        spec: Adams,
        scales: OdeErrorScales,
        on_call: Callable[[State[LastStep]], object] = lambda state: None,
    ) -> LogDensity:
        problem = self._problem(spec=spec, error_scales=scales)
        label = f"{self._name}: {label}"
        density = solve_watched(label, solver, self._denoiser, problem, on_call)
        failed = density.status[density.status != RowStatus.DONE].tolist()
        if failed:
            raise EvaluationError(f"an image could not be scored: {RowStatus(failed[0]).reason}")
        return density


def _check_reference(steps: int, count: float) -> None:
    """Raise EvaluationError if solves in about `count` steps have as many as the reference at the
    smaller tolerance, where they take more."""
    needed = math.ceil(count * FINER**-0.25)
    if steps < needed:
        raise EvaluationError(
            f"a reference in {steps} steps cannot judge solves in {count:.0f}, which take more at "
            f"smaller tolerances; give --reference-steps {needed} or more"
        )


def _trial(scales: OdeErrorScales, coarse: LogDensity, fine: LogDensity, truth: Tensor) -> Trial:
    errors = [(found.prior + found.log_det.mean(1) - truth).abs() for found in (coarse, fine)]
    ratios = [error / found.error for error, found in zip(errors, (coarse, fine), strict=True)]
    return Trial(
        scale=scales.whole,
        steps=scales.steps,
        evaluations=float(coarse.nfe.double().mean()),
        error=_quantile(errors[0]),
        finer_error=_quantile(errors[1]),
        estimate=float(coarse.error.median()),
        covered=float((ratios[0] <= 1).double().mean()),
        needed=_rounded_up(scales.whole * max(map(_quantile, ratios))),
    )


def _quantile(values: Tensor) -> float:
    """Return the 95th percentile of `values` `[N]`, interpolated between the largest of few."""
    return float(values.quantile(QUANTILE))


def _rounded_up(value: float) -> float:
    """Return `value` with two significant digits, not less than it is, and at least LEAST."""
    value = max(value, LEAST)
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit) * unit:.2g}")
