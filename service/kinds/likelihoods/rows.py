"""The rows of a task of scoring: `draws` rows an image, which begin together, of unknown length."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.rows.rows import QUANTUM, concat, pad, split, take
from models.solvers.adams import AdamsSolver, LastStep
from models.solvers.adaptive import State
from models.solvers.base import Problem
from models.solvers.flow import Columns, LogDensity
from models.work.likelihood import score_problem, summarise
from service.jobs import Tokens
from service.kinds.likelihoods.task import ScoreResult, ScoreTask
from service.rows import Served, first


class Rows:
    """Row r is draw r mod `draws` of image r div `draws`."""

    adaptive = True

    def __init__(self, task: ScoreTask, served: Served) -> None:
        self.solver = AdamsSolver()
        self.rows = len(task.images) * task.draws
        self.group = task.draws
        self.evaluations = task.solver.expected_evaluations
        self.probes = task.solver.products(served.denoiser.config.dimensions)
        self._task, self._served = task, served
        self._pieces: list[tuple[Tensor, LogDensity]] = []

    def problem(self, first_row: int, last_row: int) -> Problem[Columns]:
        """The problem of all draws of these images, dequantized and encoded."""
        task, draws = self._task, self._task.draws
        images = task.images[first_row // draws : last_row // draws].transpose(0, 3, 1, 2)
        tokens = torch.as_tensor(np.ascontiguousarray(images), device=self._served.device)
        padded = pad(tokens, QUANTUM // math.gcd(QUANTUM, draws))
        problem = score_problem(self._served.denoiser, padded, task.solver, task.seed, draws)
        return first(problem, last_row - first_row)

    def collect(
        self, rows: NDArray[np.int64], problem: Problem[Columns], state: State[LastStep]
    ) -> None:
        """Keep the log-densities of rows that have ended."""
        density = self.solver.density(problem, state)
        row = torch.as_tensor(rows, device=self._served.device)
        self._pieces.append((row, first(density, len(rows))))

    def preview(
        self, rows: int, problem: Problem[Columns], state: State[LastStep]
    ) -> Tokens | None:
        """None: a solve towards noise draws no image."""
        return None

    def result(self) -> ScoreResult:
        """One score for each image, from all of its draws."""
        row, density = concat(self._pieces)
        density = take(density, row.argsort())
        density = LogDensity(*(leaf.cpu() for leaf in density))
        draws, config = self._task.draws, self._served.denoiser.config
        images = split(density, [draws] * (self.rows // draws))
        scores = (summarise(config, one, self._task.solver) for one in images)
        return ScoreResult(tuple(scores), self._served.execution)
