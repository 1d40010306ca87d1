"""The rows of a task of drawing images: one row an image, a known number of evaluations."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from torch import Tensor

from models.network.pixels import data_to_tokens
from models.rows.rows import first
from models.schema.config import ModelConfig
from models.schema.specs import SamplerSpec
from models.solvers import sampler_of
from models.solvers.base import Problem, RowStatus, Sampler
from models.work.sampling import Images, joint_problem
from service.errors import ComputationFailed
from service.jobs import Tokens
from service.kinds.samples.task import SampleResult, SampleTask
from service.rows import Part, Served


class _Image(NamedTuple):
    """An image that is finished, tokens `[H, W, C]`. `acceptance_rate` may be NaN; `latent` is
    k-hot, or the class, one-hot."""

    tokens: Tokens
    nfe: int
    acceptance_rate: float
    latent: Tokens
    status: int


class Rows:
    """Columns and states are the sampler's own, and nothing here looks into them."""

    adaptive = False
    group = 1
    probes = 0

    def __init__(self, task: SampleTask, served: Served) -> None:
        config = served.denoiser.config
        _check_latent(task.latent, config)
        self.solver: Sampler[SamplerSpec, object, object] = sampler_of(task.solver.name, config)
        self.rows = task.count
        self.evaluations = task.solver.evaluations + config.closing_evaluations
        self._task, self._served = task, served
        self._images: dict[int, _Image] = {}

    @classmethod
    def problem(cls, parts: Sequence[Part[Self]]) -> Problem[object]:
        """The problem of these images, each with its own noise."""
        one = parts[0].job
        wanted = [job._named(begin, end) for job, begin, end in parts]
        return joint_problem(one.solver, one._served.denoiser, wanted, one._served.device)

    def _named(self, begin: int, end: int) -> Images[SamplerSpec]:
        """Images `begin` to `end` - 1, with their latents or classes where the task names them."""
        task = self._task
        latents: Sequence[tuple[int, ...]] | None = None
        if task.labels is not None:
            latents = [(label,) for label in task.labels[begin:end]]
        elif task.latent is not None:
            latents = [task.latent] * (end - begin)
        return Images(task.solver, task.seed, range(begin, end), latents)

    def read(self, rows: int, problem: Problem[object], state: object) -> Sequence[_Image]:
        """Images that are finished."""
        sample = self.solver.sample(problem, state)
        found = first(
            (
                self._tokens(sample.x),
                sample.nfe,
                sample.acceptance_rate,
                problem.condition.latent.bool(),
                self.solver.status(problem, state),
            ),
            rows,
        )
        tokens, nfe, rate, latent, status = (leaf.cpu().numpy() for leaf in found)
        columns = (tokens, nfe.tolist(), rate.tolist(), latent, status.tolist())
        return [_Image(*row) for row in zip(*columns, strict=True)]

    def collect(self, rows: Sequence[int], ended: Sequence[_Image]) -> None:
        """Keep images that are finished."""
        self._images.update(zip(rows, ended, strict=True))

    def preview(self, rows: int, problem: Problem[object], state: object) -> Tokens:
        """Images as far as they are drawn."""
        drawn: Tokens = self._tokens(self.solver.sample(problem, state).x[:rows]).cpu().numpy()
        return drawn

    def further(self) -> None:
        """None: all rows are known from the start."""
        return

    def result(self) -> SampleResult:
        """All images in the order of their index. Raises ComputationFailed if any failed."""
        images = [self._images[row] for row in range(self.rows)]
        failed = [image.status for image in images if image.status != RowStatus.DONE]
        if failed:
            reason = RowStatus(failed[0]).reason
            raise ComputationFailed(f"{len(failed)} of {len(images)} images failed: {reason}")
        rates = (image.acceptance_rate for image in images)
        return SampleResult(
            images=np.stack([image.tokens for image in images]),
            nfe=tuple(image.nfe for image in images),
            acceptance_rate=tuple(None if np.isnan(rate) else rate for rate in rates),
            latents=tuple(tuple(np.flatnonzero(image.latent).tolist()) for image in images),
            execution=self._served.sample_execution or self._served.execution,
        )

    def _tokens(self, x: Tensor) -> Tensor:
        return data_to_tokens(x, self._served.denoiser.config).permute(0, 2, 3, 1)


def _check_latent(indices: tuple[int, ...] | None, config: ModelConfig) -> None:
    """Check the latent of a stored task. Raises ComputationFailed."""
    if indices is None:
        return
    known = all(0 <= index < config.latent_size for index in indices)
    if not known or not len(indices) == len(set(indices)) == config.latent_k:
        raise ComputationFailed(
            f"the stored latent is not {config.latent_k} of {config.latent_size} indices"
        )
