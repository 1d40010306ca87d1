"""The rows of a task of judging: one row an image, a known number of evaluations."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from models.anomaly.readings import Reading
from models.anomaly.rows import path_problem, readings
from models.rows.rows import QUANTUM, pad
from models.solvers.base import Problem
from models.solvers.path import Columns, PathSolver, State
from service.jobs import Tokens
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask
from service.rows import Served, first


class Rows:
    """Readings only: the calibration's verdicts are made where the answer is."""

    adaptive = False
    group = 1

    def __init__(self, task: AnomalyTask, served: Served) -> None:
        self.solver = PathSolver()
        self.rows = len(task.images)
        self.evaluations = task.solver.evaluations
        self.probes = task.solver.probes
        self._task, self._served = task, served
        self._readings: dict[int, Reading] = {}

    def problem(self, first_row: int, last_row: int) -> Problem[Columns]:
        """The problem of these images, dequantized and encoded."""
        task, served = self._task, self._served
        images = task.images[first_row:last_row].transpose(0, 3, 1, 2).copy()
        padded = pad(torch.as_tensor(images, device=served.device), QUANTUM)
        problem = path_problem(served.denoiser, padded, task.solver, task.seed)
        return first(problem, last_row - first_row)

    def collect(self, rows: NDArray[np.int64], problem: Problem[Columns], state: State) -> None:
        """Read rows that have ended."""
        ended = first((problem, self.solver.path(problem, state)), len(rows))
        for row, reading in zip(rows.tolist(), readings(*ended), strict=True):
            wanted = reading if self._task.heatmap else replace(reading, contribution=None)
            self._readings[row] = wanted

    def preview(self, rows: int, problem: Problem[Columns], state: State) -> Tokens | None:
        """None: a solve towards noise draws no image."""
        return None

    def result(self) -> AnomalyResult:
        """The readings in the order of the request."""
        ordered = (self._readings[row] for row in range(self.rows))
        return AnomalyResult(tuple(ordered), self._served.execution)
