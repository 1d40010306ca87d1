"""Ancestral sampling with a vector schedule (Ho et al., 2020; MuLAN, appendix on sampling)."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.noise import Stream, normal
from models.rows import Answer, Query, where
from models.schedule import Noise
from models.solvers.base import Problem, Sample, count_column, finished, grid_time
from models.specs import Ddpm


class Columns(NamedTuple):
    steps: Tensor
    gamma_grid: Tensor


class State(NamedTuple):
    """x_t and the number of steps taken."""

    x: Tensor
    step: Tensor


class DdpmSolver:
    """x_r = (a_r / a_t)(x_t - s_t C eps) + sqrt(s_r^2 C) xi, r < t, C = -expm1(g_r - g_t)."""

    name = "ddpm"

    def evaluations(self, spec: Ddpm) -> int:
        return spec.evaluations

    def columns(self, spec: Ddpm, rows: int, device: torch.device) -> Columns:
        gamma_grid = torch.full((rows,), spec.grid == "gamma", device=device)
        return Columns(count_column(spec.steps, rows, device), gamma_grid)

    def init(self, problem: Problem[Columns]) -> State:
        shape = tuple(problem.condition.schedule.a.shape[1:])
        x = normal(problem.key, Stream.START, 0, shape)
        return State(x, torch.zeros_like(problem.columns.steps))

    def ask(self, problem: Problem[Columns], state: State) -> Query:
        return Query(state.x, self._time(problem, state.step))

    def tell(self, problem: Problem[Columns], state: State, answer: Answer) -> State:
        schedule = problem.condition.schedule
        here = schedule.noise(self._time(problem, state.step))
        there = schedule.noise(self._time(problem, state.step + 1))
        draw = normal(problem.key, Stream.STEP, state.step, tuple(state.x.shape[1:]))
        moved = State(ancestral_step(state.x, answer.eps, here, there, draw), state.step + 1)
        return where(state.step < problem.columns.steps, moved, state)

    def status(self, problem: Problem[Columns], state: State) -> Tensor:
        return finished(state.step >= problem.columns.steps, state.x)

    def progress(self, problem: Problem[Columns], state: State) -> Tensor:
        return state.step / problem.columns.steps

    def sample(self, problem: Problem[Columns], state: State) -> Sample:
        nothing = torch.full_like(state.step, torch.nan, dtype=torch.float64)
        return Sample(state.x, state.step, nothing)

    def _time(self, problem: Problem[Columns], step: Tensor) -> Tensor:
        columns = problem.columns
        return grid_time(problem.condition.clock, step, columns.steps, columns.gamma_grid)


def ancestral_step(x: Tensor, eps: Tensor, here: Noise, there: Noise, draw: Tensor) -> Tensor:
    """One ancestral draw of x at `there` from x at `here`; at no distance, x itself."""
    c = -torch.expm1((there.gamma - here.gamma).clamp(max=0))
    mean = there.alpha / here.alpha * (x - here.sigma * c * eps)
    return (mean + there.sigma * c.sqrt() * draw).to(x.dtype)
