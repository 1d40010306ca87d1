"""The plain loop: one solver, one set of rows, a network call a step. The engine must equal it."""

from collections.abc import Callable
from typing import Any

from models.rows.denoiser import Denoiser
from models.solvers.base import AnySolver, Problem, RowStatus


def solve(
    solver: AnySolver,
    problem: Problem[Any],
    denoiser: Denoiser,
    on_call: Callable[[Any], object] = lambda state: None,
) -> Any:
    """Ask, evaluate and tell until no row runs; returns the final state.

    `on_call` is given the state after each network call.
    """
    state = solver.init(problem)
    while (solver.status(problem, state) == RowStatus.RUNNING).any():
        answer = denoiser.evaluate(solver.ask(problem, state), problem.condition)
        state = solver.tell(problem, state, answer)
        on_call(state)
    return state
