"""The log-density of images by the probability-flow ODE, to any precision."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.network.schedule import NoiseLevel, per_row
from models.rows.constants import constant
from models.rows.rows import Moment, where, whole
from models.solvers.adaptive import Adaptive, State
from models.solvers.base import Problem
from models.solvers.dormand_prince import ERROR, NODES, ORDER, QUINTIC, ROUGHNESS, STAGES, WEIGHTS
from models.solvers.flow import Columns, advance, moment

SAFETY = 0.9
MIN_FACTOR, MAX_FACTOR = 0.2, 3.0
# Longer steps, in mean gamma, would leap over a change of log-density that their error estimate
# cannot see.
MAX_GAMMA = 2.0


class Stages(NamedTuple):
    """The stages of a step, `stage` `[rows]` of which are known; and the accepted steps' error
    estimates summed up `[rows]`, in nats.

    `slopes` `[rows, 7, C, H, W]` and `rates` `[rows, 7, probes]` are the derivatives of x_t / alpha
    and of the log-det by the network's time, float64.
    """

    stage: Tensor
    slopes: Tensor
    rates: Tensor
    error: Tensor


class Rk45Solver(Adaptive[Stages]):
    """Dormand and Prince's pair (`dormand_prince`) on dx̄/ds = eps dρ/ds (`flow`).

    A step of length h may err by the share h of the tolerance. Its error in nats has three parts.
    The embedded pair's, in log_det and, since d log p/dx = -eps/sigma, in x. A higher difference of
    the log-det, enlarged: trained networks are rough along the path, and there the pair alone is
    far too hopeful. And the length of the error of x in units of sigma, because a probe's
    log-det depends on x more than log p does.
    """

    name = "rk45"
    first_gamma = 0.5
    refused = 1.0

    def begin(self, problem: Problem[Columns]) -> Stages:
        columns = problem.columns
        image, rows = columns.image, len(columns.image)
        return Stages(
            stage=torch.zeros_like(columns.max_evaluations),
            slopes=image.new_zeros(rows, STAGES, *image.shape[1:]),
            rates=image.new_zeros(rows, STAGES, columns.probes.shape[1]),
            error=torch.zeros_like(columns.tolerance),
        )

    def ahead(self, problem: Problem[Columns], state: State[Stages]) -> tuple[Moment, Tensor]:
        weights = constant(WEIGHTS, state.s.dtype, state.s.device)
        stage, slopes = state.own.stage, state.own.slopes
        there = moment(problem.condition, self._time(state))
        return there, state.x + per_row(state.step) * _combine(weights[stage], slopes)

    def hear(
        self, problem: Problem[Columns], state: State[Stages], eps: Tensor, rate: Tensor
    ) -> State[Stages]:
        t, noise = moment(problem.condition, self._time(state))
        slope = 0.5 * problem.condition.dgamma_ds(t) * noise.rho * eps
        own = state.own
        told = state._replace(
            own=own._replace(
                slopes=_put(own.slopes, own.stage, slope),
                rates=_put(own.rates, own.stage, rate),
                stage=own.stage + 1,
            )
        )
        return where(told.own.stage == STAGES, self._conclude(problem, told, noise, eps), told)

    def growth(self, state: State[Stages], excess: Tensor) -> Tensor:
        return self.shrinkage(excess)

    def shrinkage(self, excess: Tensor) -> Tensor:
        factor = whole(lambda one: SAFETY * one ** (-1 / (ORDER - 1)), excess)
        return factor.clamp(MIN_FACTOR, MAX_FACTOR)

    def longest(self, problem: Problem[Columns], s: Tensor) -> Tensor:
        schedule = problem.condition.schedule
        return (MAX_GAMMA / (schedule.gamma_max - schedule.gamma_min)).clamp(max=1.0)

    def error(self, problem: Problem[Columns], state: State[Stages]) -> Tensor:
        return state.own.error

    def _time(self, state: State[Stages]) -> Tensor:
        """Return the network's time `[rows]` of the stage that is asked next."""
        nodes = constant(NODES, state.s.dtype, state.s.device)
        return advance(state.s, nodes[state.own.stage] * state.step)

    def _conclude(
        self, problem: Problem[Columns], state: State[Stages], noise: NoiseLevel, eps: Tensor
    ) -> State[Stages]:
        """Accept or refuse a step all of whose slopes are known; `noise` and `eps` at its end."""
        h, (_, slopes, rates, so_far) = state.step, state.own
        solution, error, quintic = (
            constant(row, h.dtype, h.device).expand(len(h), STAGES)
            for row in (WEIGHTS[-1], ERROR, QUINTIC)
        )
        drift = per_row(h) * _combine(error, slopes) / noise.rho
        gain = h * _combine(error, rates).mean(1) - (eps * drift).flatten(1).sum(1)
        rough = ROUGHNESS * h * _combine(quintic, rates).mean(1)
        nats = torch.stack([gain, rough, drift.flatten(1).norm(dim=1)]).norm(dim=0)
        # The last stage of an accepted step is the first of the next one.
        stages = Stages(
            stage=state.own.stage,
            slopes=slopes.roll(1, dims=1),
            rates=rates.roll(1, dims=1),
            error=so_far + nats,
        )
        accepted = state._replace(
            s=advance(state.s, h),
            x=state.x + per_row(h) * _combine(solution, slopes),
            log_det=state.log_det + h[:, None] * _combine(solution, rates),
            own=stages,
        )
        judged = self.judge(problem, state, accepted, nats / (problem.columns.tolerance * h))
        begun = torch.ones_like(judged.own.stage)
        return judged._replace(own=judged.own._replace(stage=begun))


def _combine(weights: Tensor, stages: Tensor) -> Tensor:
    """Return the sum over the stages of `weights` `[rows, 7]` times `stages` `[rows, 7, ...]`."""
    shape = (*weights.shape, *[1] * (stages.ndim - 2))
    return (weights.view(shape) * stages).sum(1)


def _put(stages: Tensor, index: Tensor, value: Tensor) -> Tensor:
    """`stages` `[rows, 7, ...]` with `value` `[rows, ...]` at each row's own index."""
    here = torch.arange(STAGES, device=index.device) == index[:, None]
    return torch.where(here.view(*here.shape, *[1] * (value.ndim - 1)), value[:, None], stages)
