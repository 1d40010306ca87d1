"""RTK with unadjusted Langevin steps (Huang et al., NeurIPS 2024); the mass is DDPM's variance."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.rows.noise import NORMAL, Draw, Stream
from models.schema.specs import RtkUla
from models.solvers.base import Problem
from models.solvers.kernel import Kernel, WalkPlan, segment_table
from models.solvers.rtk import Rtk, State


class Columns(NamedTuple):
    """The plan, and the step size of each segment, `[rows, MOST_POINTS]`."""

    plan: WalkPlan
    step_size: Tensor


class RtkUlaSolver(Rtk[Columns, tuple[()]]):
    """x <- x - c M grad g + sqrt(2 c M) xi. Stable for c < 2; on a Gaussian of curvature 1 / M the
    chain's variance is too large by 1 / (1 - c / 2)."""

    name = "rtk-ula"

    def columns(self, spec: RtkUla, rows: int, device: torch.device) -> Columns:
        plan = WalkPlan.of(spec, rows, device)
        return Columns(plan, segment_table(spec.segment_step_sizes, rows, device))

    def begin(self, x: Tensor) -> tuple[()]:
        return ()

    def draws(self, plan: WalkPlan, state: State[tuple[()]]) -> tuple[Draw, ...]:
        walk = state.walk
        return (Draw(NORMAL, Stream.PROPOSAL, walk.nfe, tuple(walk.x.shape[1:])),)

    def inside(
        self,
        problem: Problem[Columns],
        state: State[tuple[()]],
        kernel: Kernel,
        eps: Tensor,
        draws: Sequence[Tensor],
    ) -> tuple[Tensor, tuple[()]]:
        plan, step_size = problem.columns
        step = plan.of_segment(step_size, state.nfe)
        return kernel.langevin(state.x, eps, step, *draws), ()
