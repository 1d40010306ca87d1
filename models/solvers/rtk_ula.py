"""RTK with unadjusted Langevin steps (Huang et al., NeurIPS 2024); the mass is DDPM's variance."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.rows.noise import Stream, normal
from models.rows.rows import Answer, Query
from models.schema.specs import RtkUla
from models.solvers.base import Problem, Sample, finished
from models.solvers.kernel import Plan, Walk, segment_table


class Columns(NamedTuple):
    """The plan, and the step size of each segment, `[rows, MOST_POINTS]`."""

    plan: Plan
    step_size: Tensor


class RtkUlaSolver:
    """x <- x - c M grad g + sqrt(2 c M) xi. Stable for c < 2; on a Gaussian of curvature 1 / M the
    chain's variance is too large by 1 / (1 - c / 2)."""

    name = "rtk-ula"

    def evaluations(self, spec: RtkUla) -> int:
        return spec.evaluations

    def columns(self, spec: RtkUla, rows: int, device: torch.device) -> Columns:
        plan = Plan.of(spec, spec.inner_steps, rows, device)
        return Columns(plan, segment_table(spec.segment_step_sizes, rows, device))

    def init(self, problem: Problem[Columns]) -> Walk:
        return Walk.begin(problem.key, problem.condition, problem.columns.plan)

    def ask(self, problem: Problem[Columns], state: Walk) -> Query:
        return state.query(problem.columns.plan)

    def tell(self, problem: Problem[Columns], state: Walk, answer: Answer) -> Walk:
        key, condition, (plan, step_size) = problem
        draw = normal(key, Stream.PROPOSAL, state.nfe, tuple(state.x.shape[1:]))
        kernel = state.kernel(condition)
        step = plan.of_segment(step_size, state.nfe)
        x = kernel.langevin(state.x, answer.eps, step, draw)
        return state.advance(key, condition, plan, kernel, answer.eps, x)

    def status(self, problem: Problem[Columns], state: Walk) -> Tensor:
        return finished(state.nfe >= problem.columns.plan.evaluations, state.x)

    def progress(self, problem: Problem[Columns], state: Walk) -> Tensor:
        return state.nfe / problem.columns.plan.evaluations

    def sample(self, problem: Problem[Columns], state: Walk) -> Sample:
        return Sample(state.x, state.nfe, torch.full_like(state.t, torch.nan))
