"""The rows of a task of judging: one row an image, a known number of evaluations."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

from models.anomaly.readings import Reading
from models.anomaly.rows import readings, verdict_problem, verdict_solver
from models.solvers.base import Problem
from service.jobs import Tokens
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask
from service.rows import Part, Served, channels_first, check_images, in_groups


class Rows:
    """Readings only: the calibration's verdicts are made where the answer is."""

    adaptive = False
    group = 1

    def __init__(self, task: AnomalyTask, served: Served) -> None:
        check_images(task.images, served.denoiser.config)
        self.solver = verdict_solver(task.solver)
        self.rows = len(task.images)
        self.evaluations = task.solver.evaluations
        self.probes = task.solver.probes
        self._task, self._served = task, served
        self._readings: dict[int, Reading] = {}

    @classmethod
    def problem(cls, parts: Sequence[Part[Self]]) -> Problem[Any]:
        """The problem of these images, dequantized and encoded."""
        return in_groups(parts, lambda job: job._task.solver, cls._alike)

    @classmethod
    def _alike(cls, parts: Sequence[Part[Self]]) -> Problem[Any]:
        """The problem of jobs that differ in nothing but their images and seeds."""
        task, served = parts[0].job._task, parts[0].job._served
        tokens = channels_first(
            [job._task.images[begin:end] for job, begin, end in parts], served.device
        )
        seeds = [part.job._task.seed for part in parts for _ in range(part.first, part.last)]
        return verdict_problem(served.denoiser, tokens, task.solver, seeds)

    def read(self, rows: int, problem: Problem[Any], state: Any) -> Sequence[Reading]:
        """Read rows that have ended."""
        return list(readings(self.solver, problem, state, rows))

    def collect(self, rows: Sequence[int], ended: Sequence[Reading]) -> None:
        """Keep readings, and what each pixel adds to them only where a heatmap is wanted."""
        for row, reading in zip(rows, ended, strict=True):
            wanted = reading if self._task.heatmap else replace(reading, contribution=None)
            self._readings[row] = wanted

    def preview(self, rows: int, problem: Problem[Any], state: Any) -> Tokens | None:
        """None: a solve towards noise draws no image."""
        return None

    def further(self) -> None:
        """None: all rows are known from the start."""
        return

    def result(self) -> AnomalyResult:
        """The readings in the order of the request."""
        ordered = (self._readings[row] for row in range(self.rows))
        return AnomalyResult(tuple(ordered), self._served.execution)
