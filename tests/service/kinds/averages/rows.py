"""The rows of a task of averaging: one row an image."""

from collections.abc import Sequence
from typing import Any, Self

from averages.task import AverageResult, AverageTask
from models.network.pixels import data_to_tokens
from models.solvers.base import Problem
from models.solvers.ddpm import DdpmSolver
from models.work.sampling import Images, joint_problem
from service.rows import Part, Served


class Rows:
    """Drawn as any image is, and kept as its mean."""

    adaptive = False
    group = 1
    probes = 0

    def __init__(self, task: AverageTask, served: Served) -> None:
        self.solver: Any = DdpmSolver()
        self.rows, self.evaluations = task.count, task.solver.evaluations
        self._task, self._served = task, served
        self._averages: dict[int, float] = {}

    @classmethod
    def problem(cls, parts: Sequence[Part[Self]]) -> Problem[object]:
        one = parts[0].job
        wanted = [Images(job._task.solver, 0, range(begin, end)) for job, begin, end in parts]
        problem: Problem[object] = joint_problem(
            one.solver, one._served.denoiser, wanted, one._served.device
        )
        return problem

    def read(self, rows: int, problem: Problem[object], state: object) -> Sequence[float]:
        x = self.solver.sample(problem, state).x[:rows]
        levels = data_to_tokens(x, self._served.denoiser.config).float().flatten(1).mean(1)
        found: list[float] = levels.tolist()
        return found

    def collect(self, rows: Sequence[int], ended: Sequence[float]) -> None:
        self._averages.update(zip(rows, ended, strict=True))

    def preview(self, rows: int, problem: Problem[object], state: object) -> None:
        return None

    def further(self) -> None:
        return None

    def result(self) -> AverageResult:
        ordered = tuple(self._averages[row] for row in range(self.rows))
        return AverageResult(ordered, self._served.execution)
