"""The registry: adding a solver is one file here, one line below, and its parameters in specs."""

from models.schema.config import ModelConfig
from models.solvers.adams import AdamsSolver
from models.solvers.base import AnySampler, AnySolver
from models.solvers.cleaned import Cleaned
from models.solvers.ddim import DdimSolver
from models.solvers.ddpm import DdpmSolver
from models.solvers.dpm_2m import Dpm2mSdeSolver, Dpm2mSolver
from models.solvers.levels import LevelsSolver
from models.solvers.path import PathSolver
from models.solvers.rk45 import Rk45Solver
from models.solvers.rtk_mala import RtkMalaSolver
from models.solvers.rtk_ula import RtkUlaSolver
from models.solvers.rtk_uld import RtkUldSolver

SAMPLERS: dict[str, AnySampler] = {
    solver.name: solver
    for solver in (
        DdpmSolver(),
        DdimSolver(),
        Dpm2mSolver(),
        Dpm2mSdeSolver(),
        RtkUlaSolver(),
        RtkMalaSolver(),
        RtkUldSolver(),
    )
}

_CLEANED: dict[str, AnySampler] = {name: Cleaned(solver) for name, solver in SAMPLERS.items()}

SOLVERS: dict[str, AnySolver] = {
    **SAMPLERS,
    AdamsSolver.name: AdamsSolver(),
    Rk45Solver.name: Rk45Solver(),
    PathSolver.name: PathSolver(),
    LevelsSolver.name: LevelsSolver(),
}


def sampler_of(name: str, config: ModelConfig) -> AnySampler:
    """Return the sampler `name` as it draws from a model: its samples end as `config` says."""
    return _CLEANED[name] if config.closing_evaluations else SAMPLERS[name]
