"""The plain loop: one solver, one set of rows, one network call a step.

The engine must come to the same bytes.
"""

from collections.abc import Callable

from models.rows.denoiser import Denoiser
from models.solvers.base import Columns, Problem, RowStatus, Solver, StateT


def solve(
    solver: Solver[Columns, StateT],
    problem: Problem[Columns],
    denoiser: Denoiser,
    on_call: Callable[[StateT], object] = lambda state: None,
) -> StateT:
    """Ask, evaluate and tell until no row runs; returns the final state.

    `on_call` is given the state after each network call.
    """
    state = solver.init(problem)
    while (solver.status(problem, state) == RowStatus.RUNNING).any():
        answer = denoiser.evaluate(solver.ask(problem, state), problem.condition)
        state = solver.tell(problem, state, answer)
        on_call(state)
    return state
