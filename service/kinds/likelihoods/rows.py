"""The rows of a task of scoring: `draws` rows an image, which begin together, of unknown length."""

from collections.abc import Sequence
from typing import Self

from models.rows.rows import concat, first, split
from models.solvers.adams import AdamsSolver, LastStep
from models.solvers.adaptive import State
from models.solvers.base import Problem
from models.solvers.flow import Columns, LogDensity
from models.work.likelihood import score_problem, summarise
from models.work.marginal import summarise_classes
from service.jobs import Tokens
from service.kinds.likelihoods.task import ScoreResult, ScoreTask
from service.rows import Part, Served, channels_first, check_images, in_groups


class Rows:
    """Row r is draw r mod `draws` of item r div `draws`.

    An item is an image, of the class that its task names where there are classes. An image of no
    named class is an item for each class.
    """

    adaptive = True

    def __init__(self, task: ScoreTask, served: Served) -> None:
        check_images(task.images, served.denoiser.config)
        self.solver = AdamsSolver()
        classes = served.denoiser.config.classes
        self._over_classes = bool(classes) and task.labels is None
        self._items = classes if self._over_classes else 1
        self.rows = len(task.images) * self._items * task.draws
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
        items = [(job, range(begin // draws, end // draws)) for job, begin, end in parts]
        images = [job._task.images[[item // job._items for item in some]] for job, some in items]
        seeds = [job._task.seed for job, some in items for _ in some]
        classes = None
        if served.denoiser.config.classes:
            classes = [job._class_of(item) for job, some in items for item in some]
        tokens = channels_first(images, served.device)
        return score_problem(served.denoiser, tokens, one._task.solver, seeds, draws, classes)

    def _class_of(self, item: int) -> int:
        labels = self._task.labels
        return item % self._items if labels is None else labels[item]

    def read(
        self, rows: int, problem: Problem[Columns], state: State[LastStep]
    ) -> Sequence[LogDensity]:
        """The log-densities of rows that have ended."""
        density = first(self.solver.density(problem, state), rows)
        return split(LogDensity(*(leaf.cpu() for leaf in density)), [1] * rows)

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
        images = split(density, [self._items * draws] * len(self._task.images))
        of_rows = summarise_classes if self._over_classes else summarise
        scores = (of_rows(config, one, self._task.solver) for one in images)
        return ScoreResult(tuple(scores), self._served.execution)
