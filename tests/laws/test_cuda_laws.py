"""On a CUDA device the host of a tick asks and never waits: whole ticks of every registered solver
with the real network, on tensors that have a device but no values."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lawbook as law
import pytest
import tiny_zoo
import torch
from fake_cuda import CUDA, FaultError, Unwaiting, fake_cuda, on_cuda
from operations import count_operations
from torch import Tensor

from models.network.mulan import Mulan
from models.rows.constants import constant
from models.rows.rows import QUANTUM, Answer
from models.runtimes.denoiser import NetworkDenoiser
from models.runtimes.eager import eager_denoiser
from models.schema.specs import Ddim
from models.solvers import SOLVERS
from models.solvers.adaptive import Adaptive
from models.solvers.base import AnySolver, Problem
from models.solvers.ddim import DdimSolver
from models.solvers.grid import Points
from models.solvers.stepwise import State

# Parameters are columns, so one spec of a solver shows all operations; an exact trace has other
# calls of the network.
SPECS = {spec.name: spec for spec in reversed(law.SPECS)} | {
    f"{spec.name} exact": spec for spec in law.SPECS if getattr(spec, "trace", "") == "exact"
}
# Rows of a lane, for which no function pads; an exact trace calls the network for each of them.
ROWS, FEW_ROWS, TICKS = QUANTUM, 3, 2
# The most operations that a tick of one solver launches outside the network: at first, and now.
MOST_OF_A_NEW_SOLVER = 450
MOST_LAUNCHES = {
    "ddpm": 220,
    "ddim": 125,
    "dpm-2m": 150,
    "dpm-2m-sde": 245,
    "rtk-ula": 350,
    "rtk-mala": 445,
    "rtk-uld": 385,
    "adams": 660,
    "rk45": 360,
    "path": 975,
    "levels": 150,
}
# A line of code that a solver may not have.
FAULTS: dict[str, Callable[[Tensor], object]] = {
    "item": lambda x: x.sum().item(),
    "branch": lambda x: bool(x.isfinite().all()),
    "list": lambda x: x.tolist(),
    "to the host": lambda x: x.cpu(),
    "tensor": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "new tensor": lambda x: x.new_tensor(3.0),
    "from the host": lambda x: torch.zeros(2).to(x.device),
    "list of places": lambda x: x[[0, 1]],
    "places on the host": lambda x: x[torch.arange(2)],
    "number at a place": lambda x: x.clone()[0, 0, 0, 0].copy_(torch.tensor(1.0)),
    "two devices": lambda x: x + torch.ones(x.shape),
    "boolean mask": lambda x: x[x > 0],
    "boolean mask to write at": lambda x: x.index_put((x > 0,), x.new_ones(())),
    "places of what is not zero": lambda x: x.nonzero(),
}


class Broken(DdimSolver):
    """DDIM with one line more in its `tell`."""

    def __init__(self, line: Callable[[Tensor], object]) -> None:
        self.line = line

    def move(self, problem: Problem[Points], state: State, answer: Answer) -> State:
        self.line(state.x)
        return super().move(problem, state, answer)


@pytest.fixture(scope="module")
def host() -> NetworkDenoiser:
    """The network with values, with which problems are made."""
    torch.manual_seed(0)
    return eager_denoiser(Mulan(tiny_zoo.CONFIG).eval().requires_grad_(False))


@contextmanager
def on_the_device(
    spec: Any, host: NetworkDenoiser
) -> Iterator[tuple[Problem[Any], NetworkDenoiser]]:
    """Rows of `spec` and the network, both on the device."""
    rows = FEW_ROWS if getattr(spec, "trace", "") == "exact" else ROWS
    problem = law.problem_of(spec, torch.arange(rows), denoiser=host)
    with fake_cuda(), torch.no_grad():
        with torch.device(CUDA):
            model = Mulan(tiny_zoo.CONFIG).eval().requires_grad_(False)
        yield on_cuda(problem), eager_denoiser(model)


def tick(solver: AnySolver, problem: Problem[Any], state: Any, denoiser: NetworkDenoiser) -> Any:
    answer = denoiser.evaluate(solver.ask(problem, state), problem.condition)
    state = solver.tell(problem, state, answer)
    solver.status(problem, state)
    solver.progress(problem, state)
    return state


def first_tick(solver: AnySolver, problem: Problem[Any], denoiser: NetworkDenoiser) -> Any:
    """A tick that may bring constants to the device, as the first in a process does."""
    with Unwaiting(but_in=constant.__wrapped__):
        return tick(solver, problem, solver.init(problem), denoiser)


def run(solver: AnySolver, spec: Any, host: NetworkDenoiser) -> None:
    """Run ticks in which nothing may wait."""
    with on_the_device(spec, host) as (problem, denoiser):
        state = first_tick(solver, problem, denoiser)
        with Unwaiting():
            for _ in range(TICKS):
                state = tick(solver, problem, state, denoiser)


def launches(solver: AnySolver, spec: Any, host: NetworkDenoiser) -> int:
    """Count the operations of one tick outside the network, in which nothing may wait.

    The engine asks a row how far it has come where rows decide that for themselves.
    """
    with on_the_device(spec, host) as (problem, denoiser):
        state = first_tick(solver, problem, denoiser)
        answer = denoiser.evaluate(solver.ask(problem, state), problem.condition)

        def outside_the_network() -> None:
            solver.ask(problem, state)
            told = solver.tell(problem, state, answer)
            if isinstance(solver, Adaptive):
                solver.status(problem, told)
                solver.progress(problem, told)

        with Unwaiting():
            return count_operations(outside_the_network).total()


@pytest.mark.parametrize("name", SPECS)
def test_a_tick_neither_waits_nor_copies(name: str, host: NetworkDenoiser) -> None:
    run(law.solver_of(SPECS[name]), SPECS[name], host)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_tick_launches_few_operations(name: str, host: NetworkDenoiser) -> None:
    assert launches(SOLVERS[name], SPECS[name], host) <= MOST_LAUNCHES.get(
        name, MOST_OF_A_NEW_SOLVER
    )


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("law_of_ticks", [run, launches])
def test_a_broken_solver_is_found_and_its_line_named(
    fault: str,
    law_of_ticks: Callable[[AnySolver, Any, NetworkDenoiser], object],
    host: NetworkDenoiser,
) -> None:
    solver, spec = Broken(FAULTS[fault]), Ddim(steps=9)
    with pytest.raises(FaultError, match=rf'test_cuda_laws.py:\d+: "{fault}": lambda x: '):
        law_of_ticks(solver, spec, host)


def test_a_solver_that_launches_more_is_found(host: NetworkDenoiser) -> None:
    plain, more = (
        launches(Broken(line), Ddim(steps=9), host)
        for line in (lambda x: x.detach(), lambda x: (x.view(-1) + 1).exp_())
    )
    assert more == plain + 2


def test_the_network_and_what_begins_a_row_neither_wait_nor_copy(host: NetworkDenoiser) -> None:
    with on_the_device(Ddim(steps=9), host) as (problem, denoiser), Unwaiting():
        denoiser.encode(torch.empty(3, *tiny_zoo.CONFIG.chw, device=CUDA))
        denoiser.condition(problem.condition.latent)
