"""The rows of a task of scoring: `draws` rows an image, which begin together, of unknown length."""

from collections.abc import Sequence
from typing import Self

from models.rows.rows import concat, first, on_cpu, split
from models.solvers.adams import AdamsSolver, LastStep
from models.solvers.adaptive import State
from models.solvers.base import Problem
from models.solvers.flow import Columns, LogDensity
from models.work.likelihood import score_problem, summarise
from service.jobs import Tokens
from service.kinds.likelihoods.task import ScoreResult, ScoreTask
from service.rows import Part, Served, channels_first, in_groups


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
        self._densities: dict[int, LogDensity] = {}

    @classmethod
    def problem(cls, parts: Sequence[Part[Self]]) -> Problem[Columns]:
        """The problem of all draws of these images, dequantized and encoded."""
        return in_groups(parts, lambda job: (job._task.solver, job._task.draws), cls._alike)

    @classmethod
    def _alike(cls, parts: Sequence[Part[Self]]) -> Problem[Columns]:
        """The problem of jobs that differ in nothing but their images and seeds."""
        one = parts[0].job
        draws, served = one._task.draws, one._served
        images = [job._task.images[begin // draws : end // draws] for job, begin, end in parts]
        seeds = [
            part.job._task.seed for part, some in zip(parts, images, strict=True) for _ in some
        ]
        tokens = channels_first(images, served.device)
        return score_problem(served.denoiser, tokens, one._task.solver, seeds, draws)

    def read(
        self, rows: int, problem: Problem[Columns], state: State[LastStep]
    ) -> Sequence[LogDensity]:
        """The log-densities of rows that have ended."""
        density = first(self.solver.density(problem, state), rows)
        return split(on_cpu(density), [1] * rows)

    def collect(self, rows: Sequence[int], ended: Sequence[LogDensity]) -> None:
        """Keep the log-densities of rows that have ended."""
        self._densities.update(zip(rows, ended, strict=True))

    def preview(
        self, rows: int, problem: Problem[Columns], state: State[LastStep]
    ) -> Tokens | None:
        """None: a solve towards noise draws no image."""
        return None

    def result(self) -> ScoreResult:
        """One score for each image, from all of its draws."""
        draws, config = self._task.draws, self._served.denoiser.config
        density = concat([self._densities[row] for row in range(self.rows)])
        images = split(density, [draws] * (self.rows // draws))
        scores = (summarise(config, one, self._task.solver) for one in images)
        return ScoreResult(tuple(scores), self._served.execution)
