"""The parameters that families of solvers share: every spec, walks over a grid, steps, RTK.

Torch-free.
"""

from abc import abstractmethod
from itertools import pairwise
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from models.schema.fields import (
    MOST_STEPS,
    GridField,
    InnerSteps,
    Points,
    Power,
    Segments,
    Start,
    StepSize,
    StepSizes,
)
from models.schema.limits import Chain, Limit, Steps

# The kernel's Gaussian factor leaves out the density: without a chain it is no draw of the kernel.
START_ORDERS = {"ancestral": 1.0, "multistep": 2.0, "kernel": None}


class SolverSpec(BaseModel):
    """The parameters of one solver, immutable. A field that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def replaced(self, **changes: object) -> Self:
        """Return these parameters with `changes`, validated anew. Raises ValidationError."""
        return self.model_validate(dict(self) | changes)


def _tell_price(schema: JsonDict, spec: type[BaseModel]) -> None:
    """Add to the schema of a sampler how many evaluations its defaults take for n pieces."""
    assert issubclass(spec, WalkSpec)
    first, second = (spec().with_pieces(pieces).evaluations for pieces in (1, 2))
    schema["x-evaluations"] = {
        "field": spec.counted_by,
        "first": first,
        "each": second - first,
    }


class WalkSpec(SolverSpec):
    """The parameters of a sampler that goes from noise to image over a grid of times."""

    model_config = ConfigDict(json_schema_extra=_tell_price)
    # The field that has the number of intervals of the grid.
    counted_by: ClassVar[str]

    grid: GridField = "gamma"
    power: Power = 1.0
    points: Points = None

    @property
    def pieces(self) -> int:
        """The number of intervals of the grid: steps, or segments."""
        pieces: int = getattr(self, self.counted_by)
        return pieces

    def with_pieces(self, pieces: int) -> Self:
        """Return the same parameters for another number of intervals. Raises ValidationError."""
        return self.replaced(**{self.counted_by: pieces})

    @property
    @abstractmethod
    def evaluations(self) -> int:
        """Network evaluations of one row."""

    @property
    @abstractmethod
    def limit(self) -> Limit:
        """The law that the images come to with ever finer steps."""

    def within(self, evaluations: int) -> Self | None:
        """Return the same parameters in as many pieces as at most `evaluations` pay for; None if
        they pay for no piece. Every piece costs the same, but for what all of them cost
        together."""
        first = self.with_pieces(1).evaluations
        another = self.with_pieces(2).evaluations - first
        pieces = 1 + (evaluations - first) // another
        return self.with_pieces(pieces) if pieces > 0 else None

    @model_validator(mode="after")
    def _one_point_between_pieces(self) -> Self:
        if self.points is None:
            return self
        if len(self.points) != self.pieces - 1:
            raise ValueError(f"{self.pieces} steps have {self.pieces - 1} points between them")
        if any(later >= earlier for earlier, later in pairwise(self.points)):
            raise ValueError("points must fall")
        return self


class StepwiseSpec(WalkSpec):
    """The parameters of a sampler that takes `steps`, each of `evaluations_per_step`.

    Each sampler declares its `order`: with n steps the error is of the size of n^-order. One that
    errs on data that is a single image says so; steps in exponential form do not.
    """

    counted_by = "steps"
    evaluations_per_step: ClassVar[int] = 1
    order: ClassVar[float]
    exact_on_a_point: ClassVar[bool] = True

    steps: int = Field(50, ge=1, le=MOST_STEPS, description="Steps from noise to image.")

    @property
    def evaluations(self) -> int:
        return self.evaluations_per_step * self.steps

    @property
    def limit(self) -> Steps:
        return Steps(self.order, self.exact_on_a_point)


class RtkSpec(WalkSpec):
    """The parameters of every reverse-transition-kernel sampler (Huang et al., NeurIPS 2024)."""

    counted_by = "segments"
    # True of a chain that ends with the prediction at its own end. The next segment starts there,
    # so its start takes no evaluation.
    knows_its_end: ClassVar[bool] = False

    segments: Segments = 25
    inner_steps: InnerSteps = 1
    start: Start = "multistep"
    step_size: StepSize = 0.4
    step_sizes: StepSizes = None

    @model_validator(mode="after")
    def _one_size_a_segment(self) -> Self:
        if self.step_sizes is not None and len(self.step_sizes) != self.segments:
            raise ValueError(f"{len(self.step_sizes)} step sizes for {self.segments} segments")
        return self

    @property
    def evaluations_per_step(self) -> int:
        """Network evaluations of one step of the inner chain."""
        return 1

    @property
    def chain(self) -> int:
        """Network evaluations of the inner chain of one segment."""
        return self.evaluations_per_step * self.inner_steps

    @property
    def evaluations(self) -> int:
        starts = 1 if self.knows_its_end else self.segments
        return self.segments * self.chain + (starts if self.start != "kernel" else 0)

    @property
    def limit(self) -> Chain:
        return Chain(order=1, start=START_ORDERS[self.start])

    @property
    def segment_step_sizes(self) -> tuple[float, ...]:
        """The step size of each segment, whichever way they were given."""
        return self.step_sizes or (self.step_size,) * self.segments
