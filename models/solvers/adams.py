"""The log-density of images by the probability-flow ODE, one evaluation a step."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.network.schedule import per_row
from models.rows.rows import Moment, where, whole
from models.solvers.adaptive import Adaptive, State
from models.solvers.base import Problem
from models.solvers.flow import Columns, advance, line, moment

# The parts of the tolerance that the steps' errors may come to as scatter, and as a sum.
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


class LastStep(NamedTuple):
    """The last step, of length `before` (0 at the start), the next question, and the errors so far;
    all float64.

    `eps` and `rate` are the answer at the last step's end, where gamma is `here`; `slope` and
    `bend` are the rates of both by s over it. `there` is the moment of the next question, and
    `ahead` the x_t / alpha that is predicted there. `excess` is the last accepted step's error in
    units of what it should be, 1 before any; `squares` and `drift` sum up the accepted steps' error
    estimates, in nats, squared and as they are.
    """

    before: Tensor
    eps: Tensor
    slope: Tensor
    rate: Tensor
    bend: Tensor
    excess: Tensor
    squares: Tensor
    drift: Tensor
    here: Tensor
    there: Moment
    ahead: Tensor


class AdamsSolver(Adaptive[LastStep]):
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
    """

    name = "adams"
    first_gamma = 0.2
    # Longer steps would leap over a change of log-density that no error estimate sees.
    max_gamma = 0.27
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
            here=start.noise.gamma,
            there=start,
            ahead=columns.image,
        )

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
        kink = (gained - h[:, None] * own.bend).mean(1)
        gain = -h.square() / (6 * (h + own.before)) * kink - (eps * slip).flatten(1).sum(1)
        nats = (gain.square() + slip.flatten(1).square().sum(1)).sqrt()
        scatter = nats / (SHARE * problem.columns.tolerance * h.sqrt())
        trend = (own.drift + gain).abs() / (TREND * problem.columns.tolerance * s.sqrt())
        excess = (scatter * trend.clamp(min=1)).clamp(min=torch.finfo(h.dtype).tiny)
        memory = own._replace(
            before=h,
            eps=eps,
            slope=change / per_row(h),
            rate=rate,
            bend=gained / h[:, None],
            excess=excess,
            squares=own.squares + nats.square(),
            drift=own.drift + gain,
            here=there.gamma,
        )
        log_det = state.log_det + (h / 2)[:, None] * (own.rate + rate)
        accepted = state._replace(s=s, x=x, log_det=log_det, own=memory)
        first = state._replace(own=own._replace(eps=eps, rate=rate))
        judged = self.judge(problem, state, accepted, excess)
        return self._predict(problem, where(state.nfe == 1, first, judged))

    def growth(self, state: State[LastStep], excess: Tensor) -> Tensor:
        errors = excess * state.own.excess
        damping = torch.where(errors > 1, SHRINKING, GROWING)
        return whole(torch.pow, errors, -1 / (ORDER * damping)).clamp(max=MAX_FACTOR)

    def shrinkage(self, excess: Tensor) -> Tensor:
        # To the power of minus one over the order.
        return (SAFETY / excess.sqrt()).clamp(min=MIN_RETRY)

    def error(self, state: State[LastStep]) -> Tensor:
        return (state.own.squares + state.own.drift.square()).sqrt()

    def _predict(self, problem: Problem[Columns], state: State[LastStep]) -> State[LastStep]:
        """Return the state with the moment of its next question, and x_t / alpha predicted
        there."""
        own = state.own
        there = moment(problem.condition, advance(state.s, state.step))
        change = per_row(state.step) * own.slope
        ahead = state.x + line(own.eps, change, own.here, there.noise.gamma)
        return state._replace(own=own._replace(there=there, ahead=ahead))
