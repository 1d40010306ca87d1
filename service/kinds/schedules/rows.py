"""The rows of a task of showing schedules: one row a latent, answered as it begins."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.network.encoder import top_k
from models.network.pixels import tokens_to_data
from models.rows.rows import Condition
from service.errors import ComputationFailed
from service.kinds.schedules.task import ScheduleResult, ScheduleTask
from service.rows import Part, PromptRows, Served, channels_first


class _Shown(NamedTuple):
    """The indices of a latent's ones, and its schedule's coefficients `[3, H, W, C]`."""

    latent: tuple[int, ...]
    coefficients: NDArray[np.float32]


class Rows(PromptRows[_Shown]):
    """Encoder and schedule alone are run, and the score network is asked nothing."""

    def __init__(self, task: ScheduleTask, served: Served) -> None:
        self.rows = task.rows
        self._task, self._served = task, served
        self._shown: dict[int, _Shown] = {}

    @classmethod
    def begin(cls, parts: Sequence[Part[Self]]) -> Sequence[_Shown]:
        """The schedules of these latents and images."""
        latents = torch.cat([job._latents(first, last) for job, first, last in parts])
        condition: Condition = parts[0].job._served.denoiser.condition(latents)
        schedule = condition.schedule
        coefficients = torch.stack((schedule.a, schedule.b, schedule.c), 1)
        found = coefficients.permute(0, 1, 3, 4, 2).float().cpu().numpy()
        ones = [tuple(np.flatnonzero(row).tolist()) for row in latents.cpu().numpy()]
        return [_Shown(*row) for row in zip(ones, found, strict=True)]

    def collect(self, rows: Sequence[int], ended: Sequence[_Shown]) -> None:
        """Keep schedules."""
        self._shown.update(zip(rows, ended, strict=True))

    def result(self) -> ScheduleResult:
        """All schedules in the order of the request. Raises ComputationFailed for one that is not
        finite."""
        shown = [self._shown[row] for row in range(self.rows)]
        coefficients = np.stack([one.coefficients for one in shown])
        if not np.isfinite(coefficients).all():
            raise ComputationFailed("the schedule is not finite")
        latents = tuple(one.latent for one in shown)
        return ScheduleResult(latents, coefficients, self._served.execution)

    def _latents(self, first: int, last: int) -> Tensor:
        """The k-hot latents `[last - first, n]` of these rows."""
        task, (denoiser, device, *_) = self._task, self._served
        if len(task.images):
            tokens = channels_first([task.images[first:last]], device)
            clean = tokens_to_data(tokens, denoiser.config).float()
            return top_k(denoiser.encode(clean), denoiser.config.latent_k)
        latents = torch.zeros(last - first, denoiser.config.latent_size)
        for row, ones in enumerate(task.latents[first:last]):
            latents[row, list(ones)] = 1
        return latents.to(device)
