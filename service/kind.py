"""The declaration of a kind of work: everything that API, store and metrics need to know of it.

Each folder in `service/kinds` declares one. Torch-free: the engine's half of a kind is the module
`rows` in the same folder, which the engine alone imports.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from service.catalogue import ServedModel
from service.contracts.base import ResponseModel, Timing, Work
from service.jobs import Decoded, Job, Result, Task
from service.price import Quote
from service.settings import Settings
from service.tensor_form import TensorForm

WorkT = TypeVar("WorkT", bound=Work)
TaskT = TypeVar("TaskT", bound=Task)
ResultT = TypeVar("ResultT", bound=Result)


@dataclass(frozen=True)
class Finished(Generic[TaskT, ResultT]):
    """A job that has succeeded, its result, the seconds it took, and the model that ran it."""

    job: Job[TaskT]
    result: ResultT
    timing: Timing
    model: ServedModel


class Binary(NamedTuple, Generic[TaskT, ResultT]):
    """Another form of an answer than JSON: how its body is made, and its line in the schema."""

    body: Callable[[Finished[TaskT, ResultT]], bytes]
    description: str


class Metric(NamedTuple):
    """A histogram of a number that results tell of their images, or a `gauge` of what they tell
    together; without `buckets` and `gauge` a counter.

    Its labels are the model's name, then `labels`.
    """

    name: str
    description: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] | None = None
    gauge: bool = False


class Measurement(NamedTuple):
    """One value of a metric, which must be finite, with the values of its `labels`."""

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()


Measure = Callable[[Any, Any], Iterable[Measurement]]


def _no_headers(finished: Finished[Any, Any]) -> dict[str, str]:
    return {}


def _no_measurements(task: Task, result: Result) -> Iterable[Measurement]:
    return ()


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[WorkT, TaskT, ResultT]):
    """One kind of work.

    `package` is the import name of its folder; the last part of it is the kind's name in URLs, jobs
    and metrics, and the `kind` of its task and result. `request` is the body as JSON. A kind whose
    requests carry images has them there as `images`, and names with `parameters` the rest, which
    comes as form fields or in the query where images come as files; other kinds leave it out. An
    object `a` with a field `b` is a parameter `a_b`. `least_images` is the number of images without
    which a request is refused.

    `quote` judges a request by its numbers and the number of its images, or of the tiles of its
    photographs, before any is decoded; it raises BadRequest. `make` resolves a request and its
    decoded images, none for a kind that takes none, into the task; it raises BadRequest too.
    `answer` is the result as JSON, `binaries` has other forms by media type, and `headers` has what
    these forms cannot tell of their images; `slow` says that they take a while to make even where
    the job was small. Each image, or
    photograph, counts once in `measure`. A kind whose metrics remember earlier images has a `meter`
    instead: it makes the `measure` of one process, which is called by one thread at a time, from
    the sources of images that the process knows.

    `tensors` is the kind's form in the Open Inference Protocol; a kind without one is not served
    there.

    `summary` and `description` document POST /v1/<name>, `examples` are bodies of it, and
    `job_examples` are bodies of POST /v1/jobs; both by name, as OpenAPI has them.
    """

    package: str
    summary: str
    description: str
    request: type[WorkT]
    response: type[ResponseModel]
    task: type[TaskT]
    result: type[ResultT]
    quote: Callable[[WorkT, int, ServedModel, Settings], Quote]
    make: Callable[[WorkT, Decoded, ServedModel], TaskT]
    answer: Callable[[Finished[TaskT, ResultT]], ResponseModel]
    examples: Mapping[str, Any]
    parameters: type[BaseModel] | None = None
    least_images: int = 1
    slow: bool = False
    binaries: Mapping[str, Binary[TaskT, ResultT]] = field(default_factory=dict)
    headers: Callable[[Finished[TaskT, ResultT]], dict[str, str]] = _no_headers
    job_examples: Mapping[str, Any] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    measure: Callable[[TaskT, ResultT], Iterable[Measurement]] = _no_measurements
    meter: Callable[[Collection[str]], Measure] | None = None
    tensors: TensorForm | None = None

    @property
    def name(self) -> str:
        """The kind's name, as in POST /v1/<name>."""
        return self.package.rpartition(".")[2]

    @property
    def takes_images(self) -> bool:
        """True for a kind whose requests carry images."""
        return self.parameters is not None


AnyKind = Kind[Any, Any, Any]
