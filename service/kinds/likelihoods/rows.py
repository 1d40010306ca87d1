"""The rows of a task of scoring, of unknown length: `draws` rows an image, which begin together, and
further ones where an error was asked for."""

import copy
from collections.abc import Sequence
from typing import Self

import torch

from models.rows.rows import first, on_cpu, split
from models.solvers.adams import AdamsSolver, LastStep
from models.solvers.adaptive import State
from models.solvers.base import Problem
from models.solvers.flow import Columns, LogDensity
from models.work.image_solves import ImageSolves
from models.work.likelihood import Place, score_rows
from service.jobs import Tokens
from service.kinds.likelihoods.task import ScoreResult, ScoreTask
from service.rows import Part, Served, channels_first, in_groups


class Rows:
    """Rows are ordered by image, and the first ones of an image by draw."""

    adaptive = True

    def __init__(self, task: ScoreTask, served: Served) -> None:
        config = served.denoiser.config
        self.solver = AdamsSolver()
        self.group = task.draws
        self.evaluations = task.solver.expected_evaluations
        self.probes = task.solver.products(config.dimensions)
        self._task, self._served = task, served
        self._images = [ImageSolves(config, task.solver, task.draws, aim) for aim in task.aims]
        self._places = self._wanted()

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self._places)

    @classmethod
    def problem(cls, parts: Sequence[Part[Self]]) -> Problem[Columns]:
        """The problem of these solves, dequantized and encoded."""
        return in_groups(parts, lambda job: job._task.solver, cls._alike)

    @classmethod
    def _alike(cls, parts: Sequence[Part[Self]]) -> Problem[Columns]:
        """The problem of jobs that differ in nothing but their images, draws and seeds."""
        one = parts[0].job
        places: list[Place] = []
        limits: list[int] = []
        images: list[Tokens] = []
        seeds: list[int] = []
        for job, begin, end in parts:
            mine = job._places[begin:end]
            chosen = list(dict.fromkeys(place.image for place in mine))
            row = {image: len(seeds) + index for index, image in enumerate(chosen)}
            limits += [job._images[place.image].limit for place in mine]
            places += [place._replace(image=row[place.image]) for place in mine]
            images.append(job._task.images[chosen])
            seeds += [job._task.seed] * len(chosen)
        tokens = channels_first(images, one._served.device)
        problem = score_rows(one._served.denoiser, tokens, one._task.solver, seeds, places)
        limit = torch.tensor(limits).to(problem.columns.max_evaluations)
        return problem._replace(columns=problem.columns._replace(max_evaluations=limit))

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
            self._images[place.image].keep(place.draw, place.solve, density)

    def preview(
        self, rows: int, problem: Problem[Columns], state: State[LastStep]
    ) -> Tokens | None:
        """None: a solve towards noise draws no image."""
        return None

    def further(self) -> Self | None:
        """The rows by which the images whose error is not yet what was asked come nearer to it."""
        for image in self._images:
            image.extend()
        more = copy.copy(self)
        more.group, more._places = 1, self._wanted()
        return more if more._places else None

    def result(self) -> ScoreResult:
        """One score for each image, from all of its draws."""
        scores = (image.score() for image in self._images)
        return ScoreResult(tuple(scores), self._served.execution)

    def _wanted(self) -> Sequence[Place]:
        return [
            Place(number, draw, solve)
            for number, image in enumerate(self._images)
            for draw, solve in image.wanted
        ]
