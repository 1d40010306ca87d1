"""A solve of many images under a progress bar."""

import sys
from collections.abc import Callable
from typing import TypeVar

from tqdm import tqdm

from models.evaluation.likelihood.likelihood import BAR
from models.rows.denoiser import Denoiser
from models.solvers.adaptive import Adaptive, State
from models.solvers.base import Problem
from models.solvers.flow import Columns, LogDensity
from models.work.solve import solve

Own = TypeVar("Own")


def solve_watched(
    label: str,
    solver: Adaptive[Own],
    denoiser: Denoiser,
    problem: Problem[Columns],
    on_call: Callable[[State[Own]], object] = lambda state: None,
) -> LogDensity:
    """Return the densities of all rows. The bar counts images, by how far each of them is.
    `on_call` is given the state after each network call."""
    with tqdm(total=len(problem.columns.image), desc=label, bar_format=BAR, file=sys.stderr) as bar:

        def called(state: State[Own]) -> None:
            bar.update(float(solver.progress(problem, state).sum()) - bar.n)
            on_call(state)

        state = solve(solver, problem, denoiser, called)
    return solver.density(problem, state)
