"""The plain loop: one solver, one set of rows, a network call a step. What the engine must equal."""

from collections.abc import Callable
from typing import Any

from models.denoiser import Denoiser
from models.solvers.base import AnySolver, Problem, Status


def solve(
    solver: AnySolver,
    problem: Problem[Any],
    denoiser: Denoiser,
    on_step: Callable[[int], None] = lambda step: None,
) -> Any:
    """Ask, evaluate and tell until no row runs; returns the final state.

    `on_step` hears the number of network calls made so far.
    """
    state, calls = solver.init(problem), 0
    while (solver.status(problem, state) == Status.RUNNING).any():
        answer = denoiser.evaluate(solver.ask(problem, state), problem.condition)
        state = solver.tell(problem, state, answer)
        calls += 1
        on_step(calls)
    return state
