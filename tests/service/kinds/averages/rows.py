"""The rows of a task of averaging: one row an image."""

import numpy as np
import torch
from numpy.typing import NDArray

from averages.task import AverageResult, AverageTask
from models.network.mulan import data_to_tokens
from models.rows.rows import QUANTUM, pad
from models.solvers.base import Problem
from models.solvers.ddpm import DdpmSolver
from models.work.sampling import sample_problem
from service.rows import Served, first


class Rows:
    """Drawn as any image is, and kept as its mean."""

    adaptive = False
    group = 1
    probes = 0

    def __init__(self, task: AverageTask, served: Served) -> None:
        self.solver = DdpmSolver()
        self.rows, self.evaluations = task.count, task.solver.evaluations
        self._task, self._served = task, served
        self._averages: dict[int, float] = {}

    def problem(self, first_row: int, last_row: int) -> Problem[object]:
        index = pad(torch.arange(first_row, last_row), QUANTUM)
        problem = sample_problem(self._served.denoiser, self._task.solver, 0, index)
        return first(problem, last_row - first_row)

    def collect(self, rows: NDArray[np.int64], problem: Problem[object], state: object) -> None:
        x = self.solver.sample(problem, state).x[: len(rows)]
        levels = data_to_tokens(x, self._served.denoiser.config).float().flatten(1).mean(1)
        self._averages |= dict(zip(rows.tolist(), levels.tolist(), strict=True))

    def preview(self, rows: int, problem: Problem[object], state: object) -> None:
        return None

    def result(self) -> AverageResult:
        ordered = tuple(self._averages[row] for row in range(self.rows))
        return AverageResult(ordered, self._served.execution)
