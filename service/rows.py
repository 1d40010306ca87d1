"""The engine's view of a job: rows of one solver, whatever the kind of work.

Each kind has a class `Rows(task, served)` in the module `rows` of its folder: of the form
`JobRows`, or a `PromptRows` where the score network is asked nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from models.rows.denoiser import Denoiser
from models.rows.rows import concat, take
from models.schema.config import ModelConfig
from models.schema.ode_error import UNCALIBRATED, OdeErrorScales
from models.solvers.base import Problem, Solver
from service.errors import ComputationFailed
from service.jobs import Result, Tokens

ColumnsT = TypeVar("ColumnsT")
StateT = TypeVar("StateT")
EndedT = TypeVar("EndedT")
RowsT = TypeVar("RowsT")


class Served(NamedTuple):
    """A checkpoint that is ready: `execution` names device type, runtime, precision and build.

    Samples may be drawn in less precision than the rest, and then have an execution of their own.
    `ode_error_scales` are the manifest's.
    """

    denoiser: Denoiser
    device: torch.device
    execution: str
    sample_execution: str = ""
    ode_error_scales: OdeErrorScales = UNCALIBRATED


class Part(NamedTuple, Generic[RowsT]):
    """Rows `first` to `last` - 1 of a job, which are whole groups."""

    job: RowsT
    first: int
    last: int


class JobRows(Protocol[ColumnsT, StateT, EndedT]):
    """One job's rows: `rows` of them, which begin in groups of `group`.

    `evaluations` is the number of network evaluations of a row, exact unless the rows are
    `adaptive`, then a guess. Rows with equal `probes` can share a network call, and with an equal
    solver a lane too. Jobs of one lane begin together and are read together.
    """

    adaptive: bool
    rows: int
    group: int
    evaluations: int
    probes: int

    @property
    def solver(self) -> Solver[ColumnsT, StateT]:
        """The method that solves the rows."""
        ...

    @classmethod
    def problem(cls, parts: Sequence[Part[Self]]) -> Problem[ColumnsT]:
        """The problem of rows of several jobs of one lane, one part after another."""
        ...

    def read(self, rows: int, problem: Problem[ColumnsT], state: StateT) -> Sequence[EndedT]:
        """Read the first `rows` rows, which have ended, from the device. They are of any jobs of
        the lane, and the tensors may be padded beyond them."""
        ...

    def collect(self, rows: Sequence[int], ended: Sequence[EndedT]) -> None:
        """Take over these rows of the job, as they were read."""
        ...

    def preview(self, rows: int, problem: Problem[ColumnsT], state: StateT) -> Tokens | None:
        """Tokens `[rows, H, W, C]` of the first `rows` as they are; None where nothing is drawn."""
        ...

    def further(self) -> "Self | None":
        """The rows that are still to be solved for this job once all of these have ended; None
        where there is nothing more."""
        ...

    def result(self) -> Result:
        """The result of all rows. Raises ComputationFailed."""
        ...


class PromptRows(ABC, Generic[EndedT]):
    """One job's `rows`, which end as they begin and never enter a lane.

    The scheduler counts the beginning of a row as its one evaluation.
    """

    group = 1
    evaluations = 1
    probes = 0
    rows: int

    @classmethod
    @abstractmethod
    def begin(cls, parts: Sequence[Part[Self]]) -> Sequence[EndedT]:
        """Return what the rows of several jobs end with, one part after another."""

    @abstractmethod
    def collect(self, rows: Sequence[int], ended: Sequence[EndedT]) -> None:
        """Take over what these rows of the job ended with."""

    def further(self) -> None:
        """None: all rows are known from the start."""

    @abstractmethod
    def result(self) -> Result:
        """The result of all rows. Raises ComputationFailed."""


AnyJobRows = JobRows[Any, Any, Any]
AnyRows = AnyJobRows | PromptRows[Any]


def in_groups(
    parts: Sequence[Part[RowsT]],
    key: Callable[[RowsT], Hashable],
    problem: Callable[[Sequence[Part[RowsT]]], Problem[ColumnsT]],
) -> Problem[ColumnsT]:
    """Return the problem of all parts, in their order, where only jobs of equal `key` can begin as
    one."""
    groups: dict[Hashable, list[int]] = {}
    for place, part in enumerate(parts):
        groups.setdefault(key(part.job), []).append(place)
    if len(groups) == 1:
        return problem(parts)
    made = concat([problem([parts[place] for place in places]) for places in groups.values()])
    order = [place for places in groups.values() for place in places]
    sizes = torch.tensor([part.last - part.first for part in parts])
    index = torch.split(torch.arange(int(sizes.sum())), sizes[order].tolist())
    back = [index[order.index(place)] for place in range(len(parts))]
    return take(made, torch.cat(back).to(made.key.seed.device))


def check_images(images: Tokens, config: ModelConfig) -> None:
    """Check the images of a stored task. Raises ComputationFailed for those that are not of a
    model."""
    shape, wanted = images.shape[1:], tuple(config.image_shape)
    if not len(images):
        raise ComputationFailed("the stored task has no images")
    if shape != wanted:
        raise ComputationFailed(f"the stored images have the shape {shape}, not {wanted}")
    if images.size and (highest := int(images.max())) >= config.vocabulary:
        raise ComputationFailed(
            f"the stored images have the token {highest}; the highest is {config.vocabulary - 1}"
        )


def channels_first(images: Sequence[Tokens], device: torch.device) -> Tensor:
    """Return images `[N, H, W, C]` of several jobs as one tensor `[rows, C, H, W]` on a device."""
    joined = np.ascontiguousarray(np.concatenate(images).transpose(0, 3, 1, 2))
    return torch.from_numpy(joined).to(device)
