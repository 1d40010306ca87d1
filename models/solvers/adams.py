"""The log-density of images by the probability-flow ODE, one evaluation a step."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.network.schedule import NoiseLevel, per_row
from models.rows.rows import Answer, Query, where
from models.schema.specs import Adams
from models.solvers.base import Problem, RowStatus
from models.solvers.flow import (
    Columns,
    LogDensity,
    advance,
    at,
    divergence,
    end,
    line,
    question,
    within,
)

# Steps in units of gamma: the first, of the fastest pixel; the longest, of the mean. Longer ones
# would leap over a change of log-density that no error estimate sees.
FIRST_GAMMA, MAX_GAMMA = 0.2, 0.27
MIN_STEP = 1e-7
# Parts of the tolerance: what the steps' errors may come to as scatter, and what as a sum.
SHARE, TREND = 0.3, 0.3
# A step is taken again, much shorter, where its error is this many times what it should be; else
# the next one is shorter. On networks estimates scatter, and refusing costs an evaluation.
REFUSED = 20.0
MIN_RETRY, SAFETY = 0.1, 0.8
# The filter H211PI (Söderlind, 2003) for an error of second order, whose exponents are one over 6
# and the order; growth is damped further. Step sizes so follow the errors' trend, not their
# scatter: errors of steps of one length cancel along the path, as the trapezoid rule's do.
SHRINKING, GROWING, ORDER = 6.0, 16.0, 2.0
MAX_FACTOR = 1.2


class State(NamedTuple):
    """A step from `s` to `s + step`, after one of length `before` (0 at the start).

    `x` is x_t / alpha, `log_det` `[rows, probes]` the integral so far; `eps` and `rate` are the
    answer at `s`, `slope` and `bend` the rates of both by s over the step before; all float64.
    `excess` is the last accepted step's error in units of what it should be, 1 before any;
    `squares` and `drift` sum up the accepted steps' error estimates, in nats, squared and as they
    are.
    """

    s: Tensor
    step: Tensor
    before: Tensor
    x: Tensor
    eps: Tensor
    slope: Tensor
    log_det: Tensor
    rate: Tensor
    bend: Tensor
    excess: Tensor
    squares: Tensor
    drift: Tensor
    nfe: Tensor
    code: Tensor


class AdamsSolver:
    """Adams, Bashforth and Moulton's pair of second order in exponential form (`flow`).

    A step is predicted with eps on a line through the last two answers and corrected, once the
    answer at its end is there, with the line through both ends; the answer is not asked for again
    (PEC; a predictor and corrector as in Zhao et al., UniPC, 2023). The log-det goes by the
    trapezoid rule. Networks are rough along the path: there higher orders gain nothing, and the
    errors of steps add up like independent ones, or less. So a step of length h may err by the
    share sqrt(h) of a part of the tolerance. Where errors do add up, by more than the share sqrt(s)
    of another part, it may err by as much less.

    The error of a step, in nats, is that of the log-det and, since d log p/dx = -eps/sigma, of x;
    and the length of the error of x in units of sigma, because a probe's log-det depends on x more
    than log p does. Both errors are Milne's: from the difference of predictor and corrector.

    Questions are put in `dtype`. `fixed_steps` replaces step control by so many equal steps.
    """

    name = "adams"

    def __init__(self, fixed_steps: int | None = None, dtype: torch.dtype = torch.float32) -> None:
        self.fixed_steps = fixed_steps
        self.dtype = dtype

    def evaluations(self, spec: Adams) -> None:
        return None

    def init(self, problem: Problem[Columns]) -> State:
        columns = problem.columns
        zero, none = torch.zeros_like(columns.tolerance), torch.zeros_like(columns.max_evaluations)
        if self.fixed_steps is None:
            fastest = problem.condition.dgamma_ds(zero).flatten(1).amax(1)
            step = (FIRST_GAMMA / fastest).minimum(self._longest(problem))
        else:
            step = zero + 1 / self.fixed_steps
        still = torch.zeros_like(columns.image)
        rate = columns.image.new_zeros(columns.probes.shape[:2])
        return State(
            s=zero,
            step=step,
            before=zero,
            x=columns.image,
            eps=still,
            slope=still,
            log_det=rate,
            rate=rate,
            bend=rate,
            excess=zero + 1,
            squares=zero,
            drift=zero,
            nfe=none,
            code=none.to(torch.int8),
        )

    def ask(self, problem: Problem[Columns], state: State) -> Query:
        s, x = self._ahead(problem, state)[:2]
        return question(problem.condition, s, x, problem.columns.probes, self.dtype)

    def tell(self, problem: Problem[Columns], state: State, answer: Answer) -> State:
        eps, rate = answer.eps.double(), divergence(answer, problem.columns.probes)
        asked = state._replace(nfe=state.nfe + 1)
        told = where(
            state.nfe == 0,
            asked._replace(eps=eps, rate=rate),
            self._conclude(problem, asked, eps, rate),
        )
        spent = (told.code == RowStatus.RUNNING) & (told.nfe >= problem.columns.max_evaluations)
        told = told._replace(
            code=torch.where(spent, int(RowStatus.TOO_MANY_EVALUATIONS), told.code).to(torch.int8)
        )
        finite = eps.isfinite().flatten(1).all(1) & rate.isfinite().all(1)
        failed = asked._replace(code=torch.full_like(state.code, int(RowStatus.NOT_FINITE)))
        return where(state.code == RowStatus.RUNNING, where(finite, told, failed), state)

    def status(self, problem: Problem[Columns], state: State) -> Tensor:
        return state.code

    def progress(self, problem: Problem[Columns], state: State) -> Tensor:
        return state.s

    def density(self, problem: Problem[Columns], state: State) -> LogDensity:
        """The terms of the finished rows; those of a row that is not DONE mean nothing."""
        _, prior, log_det = end(problem.condition.schedule, state.x, state.log_det)
        error = (state.squares + state.drift.square()).sqrt()
        dequantization, latent = problem.columns.dequantization, problem.columns.latent
        return LogDensity(prior, log_det, dequantization, latent, error, state.nfe, state.code)

    def _ahead(
        self, problem: Problem[Columns], state: State
    ) -> tuple[Tensor, Tensor, NoiseLevel, NoiseLevel]:
        """Where the next question stands, x̄ predicted there, and the noise at both ends."""
        step = torch.where(state.nfe == 0, 0.0, state.step)
        s = advance(state.s, step)
        (_, here), (_, there) = (at(problem.condition, time) for time in (state.s, s))
        change = per_row(step) * state.slope
        return s, state.x + line(state.eps, change, here, there), here, there

    def _conclude(
        self, problem: Problem[Columns], state: State, eps: Tensor, rate: Tensor
    ) -> State:
        """Accept or refuse the step whose end was answered."""
        h, change, gained = state.step, eps - state.eps, rate - state.rate
        s, predicted, here, there = self._ahead(problem, state)
        x = state.x + line(state.eps, change, here, there)
        begun = state.before > 0
        ratio = torch.where(begun, state.before / h, 1.0)
        slip = (predicted - x) / per_row(3 * (1 + ratio)) / there.rho
        kink = (gained - h[:, None] * state.bend).mean(1)
        gain = -h.square() / (6 * (h + state.before)) * kink - (eps * slip).flatten(1).sum(1)
        nats = torch.hypot(gain, slip.flatten(1).norm(dim=1))
        scatter = nats / (SHARE * problem.columns.tolerance * h.sqrt())
        trend = (state.drift + gain).abs() / (TREND * problem.columns.tolerance * s.sqrt())
        excess = (scatter * trend.clamp(min=1)).clamp(min=torch.finfo(h.dtype).tiny)
        accepted = state._replace(
            s=s,
            before=h,
            x=x,
            eps=eps,
            slope=change / per_row(h),
            log_det=state.log_det + (h / 2)[:, None] * (state.rate + rate),
            rate=rate,
            bend=gained / h[:, None],
            excess=excess,
            squares=state.squares + nats.square(),
            drift=state.drift + gain,
            code=torch.where(s == 1, int(RowStatus.DONE), int(RowStatus.RUNNING)).to(torch.int8),
        )
        if self.fixed_steps is None:
            accepted = where(
                excess <= REFUSED,
                accepted._replace(step=self._next(problem, state, excess)),
                self._again(state, excess),
            )
        return accepted._replace(step=within(accepted.step, accepted.s))

    def _next(self, problem: Problem[Columns], state: State, excess: Tensor) -> Tensor:
        """The step after one that was accepted."""
        errors = excess * state.excess
        damping = torch.where(errors > 1, SHRINKING, GROWING)
        trend = errors ** (-1 / (ORDER * damping))
        return (state.step * trend.clamp(max=MAX_FACTOR)).minimum(self._longest(problem))

    def _again(self, state: State, excess: Tensor) -> State:
        """The same step, shorter."""
        step = state.step * (SAFETY * excess ** (-1 / ORDER)).clamp(min=MIN_RETRY)
        small = torch.where(step < MIN_STEP, int(RowStatus.STEP_TOO_SMALL), int(RowStatus.RUNNING))
        return state._replace(step=step, code=small.to(torch.int8))

    def _longest(self, problem: Problem[Columns]) -> Tensor:
        schedule = problem.condition.schedule
        return (MAX_GAMMA / (schedule.gamma_max - schedule.gamma_min)).clamp(max=1.0)
