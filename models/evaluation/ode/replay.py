"""Solves of one path that are replayed with other probes, without calling the network again."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from models.rows.denoiser import Denoiser
from models.rows.rows import Answer, Condition, Query


class Point(NamedTuple):
    """One call of the network: `eps` `[rows, C, H, W]`, the weight of each pixel in the trace,
    `[rows, D]`, and the pull-back of each pixel with its weight, `[rows, D, D]`."""

    eps: Tensor
    weight: Tensor
    pulled: Tensor


class Recorder:
    """A denoiser that keeps its answers to the questions of solves with an exact trace."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self.config, self.quantum = denoiser.config, denoiser.quantum
        self.points: list[Point] = []
        self.encode, self.condition = denoiser.encode, denoiser.condition

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        """Answer, and keep the answer."""
        answer = self._denoiser.evaluate(query, condition)
        assert query.cotangents is not None
        assert answer.vjps is not None
        # The exact trace asks by sqrt(D) e_i.
        scale = math.sqrt(self.config.dimensions)
        weight = query.cotangents.flatten(2).diagonal(dim1=1, dim2=2) / scale
        self.points.append(Point(answer.eps, weight, answer.vjps.flatten(2) / scale))
        return answer


class Replay:
    """A denoiser that gives the answers of a `Recorder` once more, to solves of the same rows with
    other probes: their steps do not look at the probes, so that they ask at the same places."""

    def __init__(self, recorder: Recorder) -> None:
        self.config, self.quantum = recorder.config, recorder.quantum
        self.encode, self.condition = recorder.encode, recorder.condition
        self._points: Sequence[Point] = recorder.points
        self._call = 0

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        """Answer the next question."""
        point, self._call = self._points[self._call], self._call + 1
        assert query.cotangents is not None
        # A pixel without weight is pulled back to nothing, whatever its sign.
        signs = (query.cotangents.flatten(2) / point.weight[:, None]).nan_to_num(0, 0, 0)
        pulled = signs @ point.pulled
        return Answer(point.eps, pulled.view_as(query.cotangents))
