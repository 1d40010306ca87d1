"""Jobs and their outcomes: frozen, torch-free, what the store carries for every kind of work."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Generic, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import TypeVar

from models.preprocessing.tiles import Tiling
from models.schema.arrays import RawArray
from service.errors import ServiceError

Tokens = Annotated[NDArray[np.uint8], RawArray("u1", axes=4)]
# A job whose images are no tiles of photographs is written as builds before this one write it.
WrittenTiling = Annotated[Tiling | None, Field(exclude_if=lambda tiling: tiling is None)]
WrittenName = Annotated[str | None, Field(exclude_if=lambda name: name is None)]
WrittenShare = Annotated[float | None, Field(exclude_if=lambda share: share is None)]
WrittenLabels = Annotated[tuple[int, ...] | None, Field(exclude_if=lambda labels: labels is None)]
WrittenFlag = Annotated[bool, Field(exclude_if=lambda flag: not flag)]
JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled", "timed-out"]
UNFINISHED: frozenset[JobStatus] = frozenset(("queued", "running"))


class Decoded(NamedTuple):
    """The images of a request as tokens `[N, H, W, C]`; and, where they are tiles of photographs,
    what they were cut from."""

    tokens: Tokens
    tiling: Tiling | None = None


class NamedSolver(Protocol):
    """The parameters of a solver, as logs, metrics and headers show them."""

    @property
    def name(self) -> str:
        """The solver's name in requests."""
        ...

    def model_dump_json(self) -> str:
        """All parameters as JSON."""
        ...


class Task(Protocol):
    """The computation that a job asks for, with every parameter resolved; `kind` names its kind of
    work."""

    kind: ClassVar[str]

    @property
    def solver(self) -> NamedSolver:
        """Parameters of the method that solves the rows."""
        ...

    @property
    def seed(self) -> int:
        """Key of all noise."""
        ...

    @property
    def rows(self) -> int:
        """Number of rows that are solved; each costs at least one row-evaluation."""
        ...


class Result(Protocol):
    """The end of a task of the same `kind` that succeeded."""

    kind: ClassVar[str]

    @property
    def execution(self) -> str:
        """Device type, runtime, dtype and build that computed it."""
        ...


TaskT = TypeVar("TaskT", bound=Task, covariant=True, default=Task)


# No slots: frozen generic classes with slots cannot be called by a parametrised name.
@dataclass(frozen=True)
class Job(Generic[TaskT]):
    """One request, resolved: `checkpoint` is a SHA-256, `deadline` seconds since the epoch, `cost`
    the row-evaluations that it is predicted. `request_id` and `trace` (a W3C traceparent) tell logs
    and traces which request made it. `callback_url` is told when the job has ended."""

    id: str
    checkpoint: str
    task: TaskT
    deadline: float
    created_at: float
    owner: str = ""
    priority: int = 0
    model: str = ""
    cost: int = 1
    request_id: str = ""
    trace: str = ""
    callback_url: WrittenName = None


Outcome = Result | ServiceError
