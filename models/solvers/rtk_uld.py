"""RTK with underdamped Langevin steps (Huang et al., NeurIPS 2024, algorithm 3)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.network.schedule import per_row
from models.rows.noise import NORMAL, Draw, Stream
from models.rows.rows import where
from models.schema.specs import RtkUld
from models.solvers.base import Problem
from models.solvers.kernel import Kernel, WalkPlan, segment_table
from models.solvers.rtk import Rtk, State

# Below this argument a remainder is summed as a series, whose terms beyond so many are nothing.
SERIES_BELOW, SERIES_TERMS = 0.5, 18


class Step(NamedTuple):
    """The numbers of one step of the exact integrator under a frozen gradient; y = friction h.

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
        """Return the step of length `h`, from the variances of x and w over it and their
        covariance, which are factored by Cholesky's rule."""
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

    plan: WalkPlan
    decay: Tensor
    glide: Tensor
    fall: Tensor
    jolt: Tensor
    lean: Tensor
    spread: Tensor


class RtkUldSolver(Rtk[Columns, Tensor]):
    """Position and momentum w, of variance M each, under friction; momentum is drawn afresh in
    every segment. At curvature 1 / M and critical friction 2 the variance of x is too large by
    1.31 for h = 1, 1.14 for 0.5, 1.026 for 0.1.

    The own part of the state is w, `[rows, C, H, W]`.
    """

    name = "rtk-uld"

    def columns(self, spec: RtkUld, rows: int, device: torch.device) -> Columns:
        steps = (Step.of(spec.friction, h) for h in spec.segment_step_sizes)
        fields = zip(*steps, strict=True)
        tables = (segment_table(values, rows, device) for values in fields)
        return Columns(WalkPlan.of(spec, rows, device), *tables)

    def begin(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def draws(self, plan: WalkPlan, state: State[Tensor]) -> tuple[Draw, ...]:
        walk = state.walk
        return (Draw(NORMAL, Stream.PROPOSAL, walk.nfe, (3, *walk.x.shape[1:])),)

    def inside(
        self,
        problem: Problem[Columns],
        state: State[Tensor],
        kernel: Kernel,
        eps: Tensor,
        draws: Sequence[Tensor],
    ) -> tuple[Tensor, Tensor]:
        walk, (plan, *tables) = state.walk, problem.columns
        decay, glide, fall, jolt, lean, spread = (
            per_row(plan.of_segment(table, walk.nfe)) for table in tables
        )
        fresh, first, second = (kernel.mass.sqrt()[:, None] * draws[0]).unbind(1)
        w = where(plan.phase(walk.nfe) == 0, fresh, state.own.double())
        drift = kernel.drift(walk.x, eps)
        x = walk.x + glide * w - fall * drift + lean * first + spread * second
        w = decay * w - glide * drift + jolt * first
        return x.to(walk.x.dtype), w.to(walk.x.dtype)


def _remainder(y: float, once: float, twice: float) -> float:
    """y - once (1 - e^-y) + twice (1 - e^-2y), as a series for small y, where low orders cancel."""
    if y >= SERIES_BELOW:
        return y + once * math.expm1(-y) - twice * math.expm1(-2 * y)
    return math.fsum(
        (once - twice * 2.0**n) * (-y) ** n / math.factorial(n) for n in range(2, SERIES_TERMS + 1)
    )
