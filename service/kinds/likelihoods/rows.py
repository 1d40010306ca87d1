"""The rows of a task of scoring, of unknown length: `draws` rows an image, which begin together,
and further ones where an error was asked for."""

import copy
from collections.abc import Sequence
from typing import Self

import torch

from models.rows.rows import concat, first, on_cpu, split
from models.solvers.adams import AdamsSolver, LastStep
from models.solvers.adaptive import State
from models.solvers.base import Problem
from models.solvers.flow import Columns, LogDensity
from models.work.image_solves import ImageSolves
from models.work.likelihood import Place, score_rows
from models.work.marginal import summarise_classes
from service.jobs import Tokens
from service.kinds.likelihoods.task import ScoreResult, ScoreTask
from service.rows import Part, Served, channels_first, check_images, in_groups


class Rows:
    """Rows are ordered by item, and the first ones of an item by draw.

    An item is an image, of the class that its task names where there are classes. An image of no
    named class is an item for each class.
    """

    adaptive = True

    def __init__(self, task: ScoreTask, served: Served) -> None:
        config = served.denoiser.config
        check_images(task.images, config)
        self.solver = AdamsSolver()
        self._over_classes = bool(config.classes) and task.labels is None
        self._each = config.classes if self._over_classes else 1
        self.group = task.draws
        self.evaluations = task.solver.expected_evaluations
        self.probes = task.solver.products(config.dimensions)
        self._task, self._served = task, served
        self._error_scales = served.ode_error_scales
        self._items = [
            ImageSolves(config, task.solver, task.draws, aim)
            for aim in task.aims
            for _ in range(self._each)
        ]
        self._places = self._wanted()

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self._places)

    @classmethod
    def problem(cls, parts: Sequence[Part[Self]]) -> Problem[Columns]:
        """The problem of these solves, dequantized and encoded."""
        return in_groups(parts, lambda job: (job._task.solver, job._error_scales), cls._alike)

    @classmethod
    def _alike(cls, parts: Sequence[Part[Self]]) -> Problem[Columns]:
        """The problem of jobs that differ in nothing but their images, draws and seeds."""
        one = parts[0].job
        places: list[Place] = []
        limits: list[int] = []
        images: list[Tokens] = []
        seeds: list[int] = []
        classes: list[int] = []
        for job, begin, end in parts:
            mine = job._places[begin:end]
            chosen = list(dict.fromkeys(place.image for place in mine))
            row = {item: len(seeds) + index for index, item in enumerate(chosen)}
            limits += [job._items[place.image].limit for place in mine]
            places += [place._replace(image=row[place.image]) for place in mine]
            images.append(job._task.images[[item // job._each for item in chosen]])
            seeds += [job._task.seed] * len(chosen)
            classes += [job._class_of(item) for item in chosen]
        denoiser, device = one._served.denoiser, one._served.device
        problem = score_rows(
            *(denoiser, channels_first(images, device), one._task.solver, seeds, places),
            *(classes if denoiser.config.classes else None, one._error_scales),
        )
        limit = torch.tensor(limits).to(problem.columns.max_evaluations)
        return problem._replace(columns=problem.columns._replace(max_evaluations=limit))

    def _class_of(self, item: int) -> int:
        labels = self._task.labels
        return item % self._each if labels is None else labels[item]

    def read(
        self, rows: int, problem: Problem[Columns], state: State[LastStep]
    ) -> Sequence[LogDensity]:
        """The log-densities of rows that have ended."""
        density = first(self.solver.density(problem, state), rows)
        return split(on_cpu(density), [1] * rows)

    def collect(self, rows: Sequence[int], ended: Sequence[LogDensity]) -> None:
        """Keep the log-densities of rows that have ended."""
        for row, density in zip(rows, ended, strict=True):
            place = self._places[row]
            self._items[place.image].keep(place.draw, place.solve, density)

    def preview(
        self, rows: int, problem: Problem[Columns], state: State[LastStep]
    ) -> Tokens | None:
        """None: a solve towards noise draws no image."""
        return None

    def further(self) -> Self | None:
        """The rows by which the items whose error is not yet what was asked come nearer to it."""
        for item in self._items:
            item.extend()
        more = copy.copy(self)
        more.group, more._places = 1, self._wanted()
        return more if more._places else None

    def result(self) -> ScoreResult:
        """One score for each image, from all of its draws."""
        if self._over_classes:
            config, each = self._served.denoiser.config, self._each
            of_images = [
                concat([item.density() for item in self._items[begin : begin + each]])
                for begin in range(0, len(self._items), each)
            ]
            scores = [summarise_classes(config, one, self._task.solver) for one in of_images]
        else:
            scores = [item.score() for item in self._items]
        return ScoreResult(tuple(scores), self._served.execution)

    def _wanted(self) -> Sequence[Place]:
        return [
            Place(number, draw, solve)
            for number, item in enumerate(self._items)
            for draw, solve in item.wanted
        ]
