"""The log-density of images by the probability-flow ODE, to any precision."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.network.schedule import NoiseLevel, per_row
from models.rows.rows import Answer, Query, where
from models.schema.specs import Rk45
from models.solvers.base import Problem, RowStatus
from models.solvers.dormand_prince import ERROR, NODES, ORDER, QUINTIC, ROUGHNESS, STAGES, WEIGHTS
from models.solvers.flow import (
    Columns,
    LogDensity,
    advance,
    at,
    divergence,
    end,
    question,
    within,
)

# Steps in units of gamma: the first, of the fastest pixel; the longest, of the mean. Longer ones
# would leap over a change of log-density that their error estimate cannot see.
FIRST_GAMMA, MAX_GAMMA = 0.5, 2.0
MIN_STEP = 1e-7
SAFETY = 0.9
MIN_FACTOR, MAX_FACTOR = 0.2, 3.0


class State(NamedTuple):
    """A step from `s` to `s + step`, `stage` of whose slopes are known.

    `x` is x_t / alpha, `log_det` `[rows, probes]` the integral so far, `slopes`
    `[rows, 7, C, H, W]` and `rates` `[rows, 7, probes]` their derivatives by s; all float64.
    `error` is the sum of the accepted steps' error estimates, in nats.
    """

    s: Tensor
    step: Tensor
    stage: Tensor
    x: Tensor
    log_det: Tensor
    slopes: Tensor
    rates: Tensor
    error: Tensor
    nfe: Tensor
    code: Tensor


class Rk45Solver:
    """Dormand and Prince's pair (`dormand_prince`) on dx̄/ds = eps dρ/ds (`flow`).

    A step of length h may err by the share h of the tolerance. Its error in nats has three parts.
    The embedded pair's, in log_det and, since d log p/dx = -eps/sigma, in x. A higher difference of
    the log-det, enlarged: trained networks are rough along the path, and there the pair alone is
    far too hopeful. And the length of the error of x in units of sigma, because a probe's
    log-det depends on x more than log p does.

    Questions are put in `dtype`. `fixed_steps` replaces step control by so many equal steps.
    """

    name = "rk45"

    def __init__(self, fixed_steps: int | None = None, dtype: torch.dtype = torch.float32) -> None:
        self.fixed_steps = fixed_steps
        self.dtype = dtype

    def evaluations(self, spec: Rk45) -> None:
        return None

    def init(self, problem: Problem[Columns]) -> State:
        image, probes = problem.columns.image, problem.columns.probes
        zero = torch.zeros_like(problem.columns.tolerance)
        none = torch.zeros_like(problem.columns.max_evaluations)
        if self.fixed_steps is None:
            fastest = problem.condition.dgamma_ds(zero).flatten(1).amax(1)
            step = (FIRST_GAMMA / fastest).clamp(max=1.0)
        else:
            step = zero + 1 / self.fixed_steps
        rates = image.new_zeros(len(image), STAGES, probes.shape[1])
        slopes = image.new_zeros(len(image), STAGES, *image.shape[1:])
        code = none.to(torch.int8)
        return State(zero, step, none, image, rates[:, 0], slopes, rates, zero, none, code)

    def ask(self, problem: Problem[Columns], state: State) -> Query:
        s, x = self._s(state), self._x(state)
        return question(problem.condition, s, x, problem.columns.probes, self.dtype)

    def tell(self, problem: Problem[Columns], state: State, answer: Answer) -> State:
        t, noise = at(problem.condition, self._s(state))
        slope = 0.5 * problem.condition.dgamma_ds(t) * noise.rho * answer.eps
        rate = divergence(answer, problem.columns.probes)
        told = state._replace(
            slopes=_put(state.slopes, state.stage, slope),
            rates=_put(state.rates, state.stage, rate),
            stage=state.stage + 1,
            nfe=state.nfe + 1,
        )
        told = where(told.stage == STAGES, self._conclude(problem, told, noise, answer.eps), told)
        spent = (told.code == RowStatus.RUNNING) & (told.nfe >= problem.columns.max_evaluations)
        told = told._replace(
            code=torch.where(spent, int(RowStatus.TOO_MANY_EVALUATIONS), told.code).to(torch.int8)
        )
        finite = slope.isfinite().flatten(1).all(1) & rate.isfinite().all(1)
        failed = state._replace(
            nfe=state.nfe + 1, code=torch.full_like(state.code, int(RowStatus.NOT_FINITE))
        )
        return where(state.code == RowStatus.RUNNING, where(finite, told, failed), state)

    def status(self, problem: Problem[Columns], state: State) -> Tensor:
        return state.code

    def progress(self, problem: Problem[Columns], state: State) -> Tensor:
        return state.s

    def density(self, problem: Problem[Columns], state: State) -> LogDensity:
        """The terms of the finished rows; those of a row that is not DONE mean nothing."""
        _, prior, log_det = end(problem.condition.schedule, state.x, state.log_det)
        dequantization, latent = problem.columns.dequantization, problem.columns.latent
        return LogDensity(
            prior, log_det, dequantization, latent, state.error, state.nfe, state.code
        )

    def _s(self, state: State) -> Tensor:
        """Where the stage stands that is asked next."""
        nodes = torch.tensor(NODES, dtype=state.s.dtype, device=state.s.device)
        return advance(state.s, nodes[state.stage] * state.step)

    def _x(self, state: State) -> Tensor:
        """x/alpha of the stage that is asked next."""
        weights = torch.tensor(WEIGHTS, dtype=state.s.dtype, device=state.s.device)
        return state.x + per_row(state.step) * _combine(weights[state.stage], state.slopes)

    def _conclude(
        self, problem: Problem[Columns], state: State, noise: NoiseLevel, eps: Tensor
    ) -> State:
        """Accept or refuse a step all of whose slopes are known; `noise` and `eps` at its end."""
        h = state.step
        solution, error, quintic = (
            torch.tensor(row, dtype=h.dtype, device=h.device).expand(len(h), STAGES)
            for row in (WEIGHTS[-1], ERROR, QUINTIC)
        )
        drift = per_row(h) * _combine(error, state.slopes) / noise.rho
        gain = h * _combine(error, state.rates).mean(1) - (eps * drift).flatten(1).sum(1)
        rough = ROUGHNESS * h * _combine(quintic, state.rates).mean(1)
        nats = torch.stack([gain, rough, drift.flatten(1).norm(dim=1)]).norm(dim=0)
        excess = nats / (problem.columns.tolerance * h)
        s = advance(state.s, h)
        done = torch.where(s == 1, int(RowStatus.DONE), int(RowStatus.RUNNING)).to(torch.int8)
        factor = (SAFETY * excess ** (-1 / (ORDER - 1))).clamp(MIN_FACTOR, MAX_FACTOR)
        accepted = state._replace(
            s=s,
            x=state.x + per_row(h) * _combine(solution, state.slopes),
            log_det=state.log_det + h[:, None] * _combine(solution, state.rates),
            slopes=state.slopes.roll(1, dims=1),
            rates=state.rates.roll(1, dims=1),
            error=state.error + nats,
            code=done,
        )
        if self.fixed_steps is None:
            small = torch.where(
                h * factor < MIN_STEP, int(RowStatus.STEP_TOO_SMALL), int(RowStatus.RUNNING)
            )
            refused = state._replace(code=small.to(torch.int8))
            accepted = where(excess <= 1, accepted, refused)
            schedule = problem.condition.schedule
            h = (h * factor).minimum(MAX_GAMMA / (schedule.gamma_max - schedule.gamma_min))
        return accepted._replace(step=within(h, accepted.s), stage=torch.ones_like(state.stage))


def _combine(weights: Tensor, stages: Tensor) -> Tensor:
    """Sum over the stages of `weights` `[rows, 7]` times `stages` `[rows, 7, ...]`."""
    shape = (*weights.shape, *[1] * (stages.ndim - 2))
    return (weights.view(shape) * stages).sum(1)


def _put(stages: Tensor, index: Tensor, value: Tensor) -> Tensor:
    """`stages` `[rows, 7, ...]` with `value` `[rows, ...]` at each row's own index."""
    here = torch.arange(STAGES, device=index.device) == index[:, None]
    return torch.where(here.view(*here.shape, *[1] * (value.ndim - 1)), value[:, None], stages)
