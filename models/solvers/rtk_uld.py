"""RTK with underdamped Langevin steps (Huang et al., NeurIPS 2024, algorithm 3)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from models.network.schedule import per_row
from models.rows.noise import Stream, normal
from models.rows.rows import Answer, Query, where
from models.schema.specs import RtkUld
from models.solvers.base import Problem, Sample, finished
from models.solvers.kernel import Plan, Walk, segment_table

SERIES_BELOW = 0.5
SERIES_TERMS = 18


class Step(NamedTuple):
    """One step of the exact integrator under a frozen gradient, as numbers; y = friction h.

    x <- x + glide w - fall M grad g + sqrt(M) (lean xi_1 + spread xi_2)
    w <- decay w - glide M grad g + sqrt(M) jolt xi_1
    """

    decay: float
    glide: float
    fall: float
    jolt: float
    lean: float
    spread: float

    @classmethod
    def of(cls, friction: float, h: float) -> "Step":
        """From the variances of x and w over the step and their covariance, Cholesky-factored."""
        y = friction * h
        loss = -math.expm1(-y)
        jolt = math.sqrt(-math.expm1(-2 * y))
        slip, wander = _remainder(y, 1.0, 0.0), _remainder(y, 2.0, 0.5)
        return cls(
            decay=math.exp(-y),
            glide=loss / friction,
            fall=slip / friction**2,
            jolt=jolt,
            lean=loss**2 / (friction * jolt),
            spread=math.sqrt(2 * wander - (loss**2 / jolt) ** 2) / friction,
        )


class Columns(NamedTuple):
    """The plan, and the fields of `Step`, each for each segment, `[rows, MOST_POINTS]`."""

    plan: Plan
    decay: Tensor
    glide: Tensor
    fall: Tensor
    jolt: Tensor
    lean: Tensor
    spread: Tensor


class State(NamedTuple):
    """The walk, and the momentum w."""

    walk: Walk
    w: Tensor


class RtkUldSolver:
    """Position and momentum, of variance M each, under friction; momentum is drawn afresh in every
    segment. At curvature 1 / M and critical friction 2 the variance of x is too large by 1.31 for
    h = 1, 1.14 for 0.5, 1.026 for 0.1."""

    name = "rtk-uld"

    def evaluations(self, spec: RtkUld) -> int:
        return spec.evaluations

    def columns(self, spec: RtkUld, rows: int, device: torch.device) -> Columns:
        plan = Plan.of(spec, spec.inner_steps, rows, device)
        steps = (Step.of(spec.friction, h) for h in spec.segment_step_sizes)
        fields = zip(*steps, strict=True)
        return Columns(plan, *(segment_table(values, rows, device) for values in fields))

    def init(self, problem: Problem[Columns]) -> State:
        walk = Walk.begin(problem.key, problem.condition, problem.columns.plan)
        return State(walk, torch.zeros_like(walk.x))

    def ask(self, problem: Problem[Columns], state: State) -> Query:
        return state.walk.query(problem.columns.plan)

    def tell(self, problem: Problem[Columns], state: State, answer: Answer) -> State:
        key, condition, (plan, *tables) = problem
        walk = state.walk
        decay, glide, fall, jolt, lean, spread = (
            per_row(plan.of_segment(table, walk.nfe)) for table in tables
        )
        kernel = walk.kernel(condition)
        draws = normal(key, Stream.PROPOSAL, walk.nfe, (3, *walk.x.shape[1:]))
        fresh, first, second = (kernel.mass.sqrt()[:, None] * draws).unbind(1)
        w = where(plan.phase(walk.nfe) == 0, fresh, state.w.double())
        drift = kernel.drift(walk.x, answer.eps)
        x = walk.x + glide * w - fall * drift + lean * first + spread * second
        w = decay * w - glide * drift + jolt * first
        moved = State(
            walk.advance(key, condition, plan, kernel, answer.eps, x.to(walk.x.dtype)),
            w.to(walk.x.dtype),
        )
        return where(walk.nfe < plan.evaluations, moved, state)

    def status(self, problem: Problem[Columns], state: State) -> Tensor:
        return finished(state.walk.nfe >= problem.columns.plan.evaluations, state.walk.x)

    def progress(self, problem: Problem[Columns], state: State) -> Tensor:
        return state.walk.nfe / problem.columns.plan.evaluations

    def sample(self, problem: Problem[Columns], state: State) -> Sample:
        walk = state.walk
        return Sample(walk.x, walk.nfe, torch.full_like(walk.t, torch.nan))


def _remainder(y: float, once: float, twice: float) -> float:
    """y - once (1 - e^-y) + twice (1 - e^-2y); its low orders cancel, so by series where small."""
    if y >= SERIES_BELOW:
        return y + once * math.expm1(-y) - twice * math.expm1(-2 * y)
    return math.fsum(
        (once - twice * 2.0**n) * (-y) ** n / math.factorial(n) for n in range(2, SERIES_TERMS + 1)
    )
