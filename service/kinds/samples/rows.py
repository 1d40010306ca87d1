"""The rows of a task of drawing images: one row an image, a known number of evaluations."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.network.mulan import data_to_tokens
from models.rows.rows import QUANTUM, concat, pad
from models.schema.specs import SamplerSpec
from models.solvers import SAMPLERS
from models.solvers.base import Problem, RowStatus, Sampler
from models.work.sampling import sample_problem
from service.errors import ComputationFailed
from service.jobs import Tokens
from service.kinds.samples.task import SampleResult, SampleTask
from service.rows import Served, first


class _Piece(NamedTuple):
    """Images that are finished, on the device; every leaf leads with the row axis."""

    row: Tensor
    tokens: Tensor
    nfe: Tensor
    acceptance_rate: Tensor
    latent: Tensor
    status: Tensor


class Rows:
    """Columns and states are the sampler's own, and nothing here looks into them."""

    adaptive = False
    group = 1
    probes = 0

    def __init__(self, task: SampleTask, served: Served) -> None:
        self.solver: Sampler[SamplerSpec, object, object] = SAMPLERS[task.solver.name]
        self.rows = task.count
        self.evaluations = task.solver.evaluations
        self._task, self._served = task, served
        self._pieces: list[_Piece] = []

    def problem(self, first_row: int, last_row: int) -> Problem[object]:
        """The problem of these images, each with its own noise."""
        index = pad(torch.arange(first_row, last_row, device=self._served.device), QUANTUM)
        task = self._task
        problem = sample_problem(self._served.denoiser, task.solver, task.seed, index, task.latent)
        return first(problem, last_row - first_row)

    def collect(self, rows: NDArray[np.int64], problem: Problem[object], state: object) -> None:
        """Keep images that are finished."""
        sample = self.solver.sample(problem, state)
        tokens = self._tokens(sample.x)
        status = self.solver.status(problem, state)
        latent = problem.condition.latent
        piece = (tokens, sample.nfe, sample.acceptance_rate, latent, status)
        row = torch.as_tensor(rows, device=self._served.device)
        self._pieces.append(_Piece(row, *first(piece, len(rows))))

    def preview(self, rows: int, problem: Problem[object], state: object) -> Tokens:
        """Images as far as they are drawn."""
        drawn: Tokens = self._tokens(self.solver.sample(problem, state).x[:rows]).cpu().numpy()
        return drawn

    def result(self) -> SampleResult:
        """All images in the order of their index. Raises ComputationFailed if any failed."""
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
            execution=self._served.sample_execution or self._served.execution,
        )

    def _tokens(self, x: Tensor) -> Tensor:
        return data_to_tokens(x, self._served.denoiser.config).permute(0, 2, 3, 1)
