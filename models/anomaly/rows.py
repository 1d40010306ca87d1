"""Images as rows of the solve that a calibration asks for, and the readings of finished rows."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from models.anomaly.level_rows import level_readings, levels_problem
from models.anomaly.path_rows import path_problem, path_readings
from models.anomaly.readings import Reading
from models.files.pictures import Bytes
from models.rows.denoiser import Denoiser
from models.rows.rows import first
from models.schema.specs import FlowPath, Levels
from models.solvers.base import Problem
from models.solvers.levels import LevelsSolver
from models.solvers.path import PathSolver
from models.work.solve import solve

BATCH = 64
VerdictSolver = PathSolver | LevelsSolver


def verdict_solver(spec: FlowPath | Levels) -> VerdictSolver:
    """Return the method that `spec` names."""
    return PathSolver() if isinstance(spec, FlowPath) else LevelsSolver()


def verdict_problem(
    denoiser: Denoiser, tokens: Tensor, spec: FlowPath | Levels, seed: int | Sequence[int]
) -> Problem[Any]:
    """Return rows for images `tokens` `[rows, C, H, W]`, uint8. `seed` is the same for all images,
    or has one for each."""
    if isinstance(spec, FlowPath):
        return path_problem(denoiser, tokens, spec, seed)
    return levels_problem(denoiser, tokens, spec, seed)


def readings(
    solver: VerdictSolver, problem: Problem[Any], state: Any, rows: int
) -> Iterator[Reading]:
    """Yield the reading of each of the first `rows` rows, which are finished.

    Others may stand behind them as padding, so that what is computed here has no tails.
    """
    if isinstance(solver, PathSolver):
        return path_readings(*first((problem, solver.path(problem, state)), rows))
    return level_readings(*first((problem, solver.scores(problem, state)), rows))


@torch.no_grad()
def read(
    denoiser: Denoiser,
    images: Bytes,
    spec: FlowPath | Levels,
    seed: int,
    device: torch.device | str = "cpu",
    batch: int = BATCH,
    on_call: Callable[[], object] = lambda: None,
) -> list[Reading]:
    """Return the readings of `images` `[N, H, W, C]`, solved `batch` at a time.

    `on_call` is called after each of the `calls(len(images), spec, batch)` network calls.
    """
    solver: Any = verdict_solver(spec)
    found = list[Reading]()
    for part in torch.split(torch.from_numpy(images).permute(0, 3, 1, 2), batch):
        problem = verdict_problem(denoiser, part.contiguous().to(device), spec, seed)
        state = solve(solver, problem, denoiser, lambda _: on_call())
        found += readings(solver, problem, state, len(part))
    return found


def calls(images: int, spec: FlowPath | Levels, batch: int = BATCH) -> int:
    """Return the number of network calls that `read` makes."""
    return -(-images // batch) * spec.evaluations
