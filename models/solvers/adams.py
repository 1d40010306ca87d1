"""The log-density of images by the probability-flow ODE, one evaluation a step."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.network.schedule import per_row
from models.rows.rows import Moment, where, whole
from models.solvers.adaptive import Adaptive, State
from models.solvers.base import Problem
from models.solvers.flow import Columns, advance, line, moment
from models.solvers.probing import (
    Spread,
    TraceError,
    begin,
    between_points,
    between_probes,
    fixed_error,
    flips,
    fresh_error,
)

# The parts of the tolerance that the steps' errors may come to as scatter, and as a sum.
SHARE, TREND = 0.5, 0.09
# Where all errors of x so far agree in sign, as on smooth densities, the log-det, whose own error
# is hidden by the noise of the probes, errs so many times as much as x makes log p err.
AGREEMENT = 4.0
# On networks the log-det errs beyond what x shows, because the trace is rough along the path. With
# the steps of `Columns.steps` its error is within so many nats, and it falls with the fourth power
# of their length.
ROUGH_NATS = 0.5
# Whatever the tolerance, steps are at most so many times as long as those: longer ones could leap
# over a change of log-density that no error estimate sees.
LONGEST = 1.5
# The part of the tolerance that this error may come to, so that the whole estimate keeps to it.
ROUGH_SHARE = 0.97
# A step is taken again, much shorter, where its error is this many times what it should be; else
# the next one is shorter. On networks estimates scatter, and refusing costs an evaluation.
REFUSED = 20.0
MIN_RETRY, SAFETY = 0.1, 0.8
# The filter H211PI (Söderlind, 2003) for an error of second order, whose exponents are one over 6
# and the order; growth is damped further. Step sizes so follow the errors' trend, not their
# scatter: errors of steps of one length cancel along the path, as the trapezoid rule's do.
SHRINKING, GROWING, ORDER = 6.0, 16.0, 2.0
MAX_FACTOR = 1.2


class LastStep(NamedTuple):
    """The last step, of length `before` (0 at the start), the next question, and the errors so far;
    all float64.

    `eps` and `rate` are the answer at the last step's end, where gamma is `here`; `slope` and
    `bend` are the rates of both by s over it. `there` is the moment of the next question, and
    `ahead` the x_t / alpha that is predicted there. `excess` is the last accepted step's error in
    units of what it should be, 1 before any; `squares` and `drift` sum up the accepted steps' error
    estimates, in nats, squared and as they are, and `size` those without their signs. `point`
    counts the points before that of the next question, `[rows]` int64, and `spread` is the probes'
    noise.
    """

    before: Tensor
    eps: Tensor
    slope: Tensor
    rate: Tensor
    bend: Tensor
    excess: Tensor
    squares: Tensor
    drift: Tensor
    size: Tensor
    here: Tensor
    there: Moment
    ahead: Tensor
    point: Tensor
    spread: Spread


class AdamsSolver(Adaptive[LastStep]):
    """Adams, Bashforth and Moulton's pair of second order in exponential form (`flow`).

    A step is predicted with eps on a line through the last two answers and corrected, once the
    answer at its end is there, with the line through both ends; the answer is not asked for again
    (PEC; a predictor and corrector as in Zhao et al., UniPC, 2023). The log-det goes by the
    trapezoid rule. Networks are rough along the path: there higher orders gain nothing, and the
    errors of steps add up like independent ones, or less. So a step of length h may err by the
    share sqrt(h) of a part of the tolerance. Where errors do add up, by more than the share sqrt(s)
    of another part, it may err by the square of that less.

    The error of a step, in nats, is that which the error of x makes, since d log p/dx = -eps/sigma,
    and the length of the error of x in units of sigma. It is Milne's: from the difference of
    predictor and corrector. The probes have no part in it, so that no step is chosen by their
    noise. What they would show of the log-det's own error is bounded by the longest step that a
    tolerance allows.
    """

    name = "adams"
    first_gamma = 0.2
    refused = REFUSED

    def begin(self, problem: Problem[Columns]) -> LastStep:
        columns = problem.columns
        zero, still = torch.zeros_like(columns.tolerance), torch.zeros_like(columns.image)
        rate = columns.image.new_zeros(columns.probes.shape[:2])
        # Nothing is known before the first answer, which is that at the start.
        start = moment(problem.condition, zero)
        return LastStep(
            before=zero,
            eps=still,
            slope=still,
            rate=rate,
            bend=rate,
            excess=zero + 1,
            squares=zero,
            drift=zero,
            size=zero,
            here=start.noise.gamma,
            there=start,
            ahead=columns.image,
            point=torch.zeros_like(columns.max_evaluations),
            spread=begin(rate),
        )

    def probes(self, problem: Problem[Columns], state: State[LastStep]) -> Tensor:
        columns, shape = problem.columns, tuple(problem.columns.probes.shape[1:])
        turned = flips(problem.key, columns.solve, columns.cycle, state.own.point, shape)
        return columns.probes * turned

    def ahead(self, problem: Problem[Columns], state: State[LastStep]) -> tuple[Moment, Tensor]:
        return state.own.there, state.own.ahead

    def hear(
        self, problem: Problem[Columns], state: State[LastStep], eps: Tensor, rate: Tensor
    ) -> State[LastStep]:
        own, there = state.own, state.own.there.noise
        h, change, gained = state.step, eps - own.eps, rate - own.rate
        s, x = advance(state.s, h), state.x + line(own.eps, change, own.here, there.gamma)
        ratio = torch.where(own.before > 0, own.before / h, 1.0)
        slip = (own.ahead - x) / per_row(3 * (1 + ratio)) / there.rho
        slip = per_row(problem.columns.x_scale) * slip
        gain = -(eps * slip).flatten(1).sum(1)
        drift, size = own.drift + gain, own.size + gain.abs()
        agreement = (drift.abs() / size.clamp(min=torch.finfo(h.dtype).tiny)).square()
        whole_gain = (1 + (AGREEMENT - 1) * agreement) * gain
        nats = (whole_gain.square() + slip.flatten(1).square().sum(1)).sqrt()
        allowed = _allowed(problem)
        scatter = nats / (SHARE * allowed * h.sqrt())
        trend = drift.abs() / (TREND * allowed * s.sqrt())
        excess = scatter * trend.clamp(min=1).square()
        excess = excess.clamp(min=torch.finfo(h.dtype).tiny)
        memory = own._replace(
            before=h,
            eps=eps,
            slope=change / per_row(h),
            rate=rate,
            bend=gained / h[:, None],
            excess=excess,
            squares=own.squares + nats.square() + _rough(problem, state.s, h).square(),
            drift=drift,
            size=size,
            here=there.gamma,
            point=own.point + 1,
            spread=self._spread(problem, own, h, rate),
        )
        log_det = state.log_det + (h / 2)[:, None] * (own.rate + rate)
        accepted = state._replace(s=s, x=x, log_det=log_det, own=memory)
        first = state._replace(own=own._replace(eps=eps, rate=rate, point=own.point + 1))
        judged = self.judge(problem, state, accepted, excess)
        return self._predict(problem, where(state.nfe == 1, first, judged))

    def growth(self, state: State[LastStep], excess: Tensor) -> Tensor:
        errors = excess * state.own.excess
        damping = torch.where(errors > 1, SHRINKING, GROWING)
        return whole(torch.pow, errors, -1 / (ORDER * damping)).clamp(max=MAX_FACTOR)

    def shrinkage(self, excess: Tensor) -> Tensor:
        # To the power of minus one over the order.
        return (SAFETY / excess.sqrt()).clamp(min=MIN_RETRY)

    def longest(self, problem: Problem[Columns], s: Tensor) -> Tensor:
        # To the power of one over that of the error. Only a tolerance above ROUGH_NATS makes steps
        # longer than measured, since fewer points leave more noise of the probes.
        loose = (problem.columns.tolerance / ROUGH_NATS).clamp(1, LONGEST**4)
        ratio = (ROUGH_SHARE * _allowed(problem) / ROUGH_NATS).minimum(loose)
        return ratio.sqrt().sqrt() * _measured(problem, s)

    def error(self, problem: Problem[Columns], state: State[LastStep]) -> Tensor:
        estimate = (state.own.squares + state.own.drift.square()).sqrt()
        return problem.columns.error_scale * estimate

    def trace_error(self, problem: Problem[Columns], state: State[LastStep]) -> TraceError:
        fresh = fresh_error(state.own.spread)
        return where(problem.columns.cycle > 0, fresh, fixed_error(state.log_det))

    def _spread(self, problem: Problem[Columns], own: LastStep, h: Tensor, rate: Tensor) -> Spread:
        """Return the noise after a step of length `h` to a point where the rate is `rate`."""
        if rate.shape[1] == 1:
            kink = rate - own.rate - h[:, None] * own.bend
            return between_points(own.spread, kink[:, 0], own.before, h)
        renewed = own.point % problem.columns.cycle.clamp(min=1) == 0
        half = (h / 2)[:, None]
        return between_probes(own.spread, half * own.rate, half * rate, renewed)

    def _predict(self, problem: Problem[Columns], state: State[LastStep]) -> State[LastStep]:
        """Return the state with the moment of its next question, and x_t / alpha predicted
        there."""
        own = state.own
        there = moment(problem.condition, advance(state.s, state.step))
        change = per_row(state.step) * own.slope
        ahead = state.x + line(own.eps, change, own.here, there.noise.gamma)
        return state._replace(own=own._replace(there=there, ahead=ahead))


def _allowed(problem: Problem[Columns]) -> Tensor:
    """Return the estimate of the error, before it is scaled, that the tolerance allows, `[rows]` in
    nats."""
    return problem.columns.tolerance / problem.columns.error_scale


def _rough(problem: Problem[Columns], s: Tensor, h: Tensor) -> Tensor:
    """Return the log-det's error, in nats, in a step of length `h` from `s` on a rough network."""
    ratio = h / _measured(problem, s)
    return ROUGH_NATS * h.sqrt() * ratio.square().square()


def _measured(problem: Problem[Columns], s: Tensor) -> Tensor:
    """Return the longest step from `s` `[rows]` where ROUGH_NATS are allowed: between the middles
    of the parts of the way its length is interpolated."""
    steps = problem.columns.steps
    parts = steps.shape[1]
    place = (parts * s - 0.5).clamp(0, parts - 1)
    distance = (place[:, None] - torch.arange(parts, device=s.device)).abs()
    return ((1 - distance).clamp(min=0) * steps).sum(1)
