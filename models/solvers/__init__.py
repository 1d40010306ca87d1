"""The registry: adding a solver is one file here, one line below, and its parameters in specs."""

from models.solvers.base import AnySampler
from models.solvers.ddpm import DdpmSolver

SAMPLERS: dict[str, AnySampler] = {
    solver.name: solver
    for solver in (
        DdpmSolver(),
    )
}
