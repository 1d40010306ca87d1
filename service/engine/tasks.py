"""What a job's task means to the engine: how many rows, of what kind, and what they come to."""

import math
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.anomaly.readings import Reading
from models.anomaly.rows import path_problem, readings
from models.network.mulan import data_to_tokens
from models.rows.denoiser import Denoiser
from models.rows.rows import QUANTUM, concat, pad, split, take
from models.solvers import SAMPLERS
from models.solvers.adams import AdamsSolver
from models.solvers.base import AnySolver, Problem, RowStatus
from models.solvers.flow import LogDensity
from models.solvers.path import PathSolver
from models.work.likelihood import score_problem, summarise
from models.work.sampling import sample_problem
from service.engine.lane import first
from service.errors import ComputationFailed
from service.jobs import (
    AnomalyResult,
    AnomalyTask,
    Result,
    SampleResult,
    SampleTask,
    ScoreResult,
    ScoreTask,
    Task,
    Tokens,
)


class Served(NamedTuple):
    """A checkpoint that is ready: `execution` names device type, runtime, dtype and build."""

    denoiser: Denoiser
    device: torch.device
    execution: str


class Assignment(Protocol):
    """One job's rows. They begin in groups of `group`; each evaluation costs `weight`.

    `evaluations` is exact unless the solver is `adaptive`, then a guess. Rows with equal
    `probes` can share a network call, with an equal solver too a lane.
    """

    adaptive: bool
    rows: int
    group: int
    evaluations: int
    probes: int
    weight: int

    @property
    def solver(self) -> AnySolver:
        """What carries the rows."""
        ...

    def problem(self, first_row: int, last_row: int) -> Problem[Any]:
        """Rows `first_row` to `last_row` - 1, whole groups."""
        ...

    def collect(self, rows: NDArray[np.int64], problem: Problem[Any], state: Any) -> None:
        """Take over rows that have ended; the tensors may be padded beyond them."""
        ...

    def preview(self, rows: int, problem: Problem[Any], state: Any) -> Tokens | None:
        """The first `rows` as pictures `[rows, H, W, C]`, for work that draws any."""
        ...

    def result(self) -> Result:
        """What all rows have come to. Raises ComputationFailed."""
        ...


class _Piece(NamedTuple):
    """Finished images, on the device."""

    row: Tensor
    tokens: Tensor
    nfe: Tensor
    acceptance_rate: Tensor
    latent: Tensor
    status: Tensor


class Sampling:
    """Drawing images: a row an image, a known number of evaluations."""

    adaptive = False
    group = 1
    probes = 0
    weight = 1

    def __init__(self, task: SampleTask, served: Served) -> None:
        self.solver = SAMPLERS[task.solver.name]
        self.rows = task.count
        self.evaluations = task.solver.evaluations
        self._task, self._served = task, served
        self._pieces: list[_Piece] = []

    def problem(self, first_row: int, last_row: int) -> Problem[Any]:
        index = pad(torch.arange(first_row, last_row, device=self._served.device), QUANTUM)
        task = self._task
        problem = sample_problem(self._served.denoiser, task.solver, task.seed, index, task.latent)
        return first(problem, last_row - first_row)

    def collect(self, rows: NDArray[np.int64], problem: Problem[Any], state: Any) -> None:
        sample = self.solver.sample(problem, state)
        tokens = self._tokens(sample.x)
        status = self.solver.status(problem, state)
        latent = problem.condition.latent
        piece = (tokens, sample.nfe, sample.acceptance_rate, latent, status)
        row = torch.as_tensor(rows, device=self._served.device)
        self._pieces.append(_Piece(row, *first(piece, len(rows))))

    def preview(self, rows: int, problem: Problem[Any], state: Any) -> Tokens:
        drawn: Tokens = self._tokens(self.solver.sample(problem, state).x[:rows]).cpu().numpy()
        return drawn

    def _tokens(self, x: Tensor) -> Tensor:
        return data_to_tokens(x, self._served.denoiser.config).permute(0, 2, 3, 1)

    def result(self) -> SampleResult:
        piece = concat(self._pieces)
        order = piece.row.argsort()
        _, tokens, nfe, rate, latent, status = (leaf[order].cpu().numpy() for leaf in piece)
        failed = status[status != RowStatus.DONE]
        if len(failed):
            reason = RowStatus(failed[0]).reason
            raise ComputationFailed(f"{len(failed)} of {len(status)} images failed: {reason}")
        return SampleResult(
            images=tokens,
            nfe=tuple(nfe.tolist()),
            acceptance_rate=tuple(None if np.isnan(r) else r for r in rate.tolist()),
            latents=tuple(tuple(np.flatnonzero(z).tolist()) for z in latent),
            execution=self._served.execution,
        )


class Scoring:
    """Likelihoods: `draws` rows an image, which begin together, of unknown length."""

    adaptive = True

    def __init__(self, task: ScoreTask, served: Served) -> None:
        self.solver = AdamsSolver()
        self.rows = len(task.images) * task.draws
        self.group = task.draws
        self.evaluations = task.solver.expected_evaluations
        self.probes = task.solver.products(served.denoiser.config.dimensions)
        self.weight = 1 + self.probes
        self._task, self._served = task, served
        self._pieces: list[tuple[Tensor, LogDensity]] = []

    def problem(self, first_row: int, last_row: int) -> Problem[Any]:
        task, draws = self._task, self._task.draws
        images = task.images[first_row // draws : last_row // draws].transpose(0, 3, 1, 2)
        tokens = torch.as_tensor(np.ascontiguousarray(images), device=self._served.device)
        padded = pad(tokens, QUANTUM // math.gcd(QUANTUM, draws))
        problem = score_problem(self._served.denoiser, padded, task.solver, task.seed, draws)
        return first(problem, last_row - first_row)

    def collect(self, rows: NDArray[np.int64], problem: Problem[Any], state: Any) -> None:
        density = self.solver.density(problem, state)
        row = torch.as_tensor(rows, device=self._served.device)
        self._pieces.append((row, first(density, len(rows))))

    def preview(self, rows: int, problem: Problem[Any], state: Any) -> None:
        """There is nothing to see."""

    def result(self) -> ScoreResult:
        row, density = concat(self._pieces)
        density = take(density, row.argsort())
        density = LogDensity(*(leaf.cpu() for leaf in density))
        draws, config = self._task.draws, self._served.denoiser.config
        images = split(density, [draws] * (self.rows // draws))
        scores = (summarise(config, one, self._task.solver) for one in images)
        return ScoreResult(tuple(scores), self._served.execution)


class Inspecting:
    """Readings for verdicts: a row an image, a known number of evaluations."""

    adaptive = False
    group = 1

    def __init__(self, task: AnomalyTask, served: Served) -> None:
        self.solver = PathSolver()
        self.rows = len(task.images)
        self.evaluations = task.solver.evaluations
        self.probes = task.solver.probes
        self.weight = 1 + task.solver.probes
        self._task, self._served = task, served
        self._readings: dict[int, Reading] = {}

    def problem(self, first_row: int, last_row: int) -> Problem[Any]:
        task, served = self._task, self._served
        images = task.images[first_row:last_row].transpose(0, 3, 1, 2).copy()
        padded = pad(torch.as_tensor(images, device=served.device), QUANTUM)
        problem = path_problem(served.denoiser, padded, task.solver, task.seed)
        return first(problem, last_row - first_row)

    def collect(self, rows: NDArray[np.int64], problem: Problem[Any], state: Any) -> None:
        ended = first((problem, self.solver.path(problem, state)), len(rows))
        for row, reading in zip(rows.tolist(), readings(*ended), strict=True):
            wanted = reading if self._task.heatmap else replace(reading, contribution=None)
            self._readings[row] = wanted

    def preview(self, rows: int, problem: Problem[Any], state: Any) -> None:
        """There is nothing to see."""

    def result(self) -> AnomalyResult:
        ordered = (self._readings[row] for row in range(self.rows))
        return AnomalyResult(tuple(ordered), self._served.execution)


def assign(task: Task, served: Served) -> Assignment:
    """The engine's view of a task."""
    match task:
        case SampleTask():
            return Sampling(task, served)
        case ScoreTask():
            return Scoring(task, served)
        case AnomalyTask():
            return Inspecting(task, served)
