"""What a caller may ask of a solver: parameters with defaults, bounds and their price. Torch-free.

The price is counted in network evaluations of one row, so that a request can be refused before
it costs any (`evaluations`); a test holds every solver to it.
"""

import math
from abc import abstractmethod
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Grid = Literal["gamma", "time", "ou"]
GridField = Annotated[
    Grid,
    Field(
        description="Points evenly spaced in the mean of gamma, in diffusion time, or in the time "
        "of the Ornstein-Uhlenbeck process with that mean."
    ),
]
# The longest list of points, or of step sizes, that a spec may bring.
MOST_POINTS = 100
Points = Annotated[
    tuple[Annotated[float, Field(gt=0, lt=1)], ...] | None,
    Field(
        max_length=MOST_POINTS - 1,
        exclude_if=lambda points: points is None,
        description="Network times at which the steps end, falling, without the ends 1 and 0; "
        "one less than there are steps. Left out, `grid` places them.",
    ),
]
Power = Annotated[
    float,
    Field(
        ge=0.25,
        le=4,
        exclude_if=lambda power: power == 1.0,
        description="Point j of n lies at (1 - j / n)^power of the grid's range: above 1 they "
        "crowd at the clean end.",
    ),
]
Start = Annotated[
    Literal["ancestral", "multistep", "kernel"],
    Field(
        description="Where a segment's chain starts: an ancestral (DDPM) draw, one evaluation; the "
        "same of second order, by the start before (dpm-2m-sde), one as well; or a draw of the "
        "kernel's Gaussian factor, none."
    ),
]
Segments = Annotated[
    int,
    Field(
        ge=1, le=100, description="Pieces of the way from noise to image; each is solved in turn."
    ),
]
InnerSteps = Annotated[int, Field(ge=1, le=500, description="Steps of each segment's inner chain.")]
# At the curvature that the mass allows for, a Langevin step is stable below 2. Where the density is
# smoother than that, the chain wants longer ones.
MIN_STEP_SIZE, MAX_STEP_SIZE = 1e-6, 1e4
StepSize = Annotated[float, Field(ge=MIN_STEP_SIZE, le=MAX_STEP_SIZE)]
StepSizes = Annotated[
    tuple[StepSize, ...] | None,
    Field(
        max_length=MOST_POINTS,
        exclude_if=lambda sizes: sizes is None,
        description="One step size for each segment, in place of `step_size`.",
    ),
]
LANGEVIN = "Step of the inner chain, relative to the DDPM step's variance."

# Of an ODE solve: what it takes on the shipped checkpoints, and how that grows with precision
# (docs/likelihood.md).
TYPICAL_EVALUATIONS = 95
TYPICAL_TOLERANCE = 0.5
GROWTH = 0.45
FEWEST_EVALUATIONS = 50


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Walk(_Spec):
    """What leads from noise to image over a grid."""

    grid: GridField = "gamma"
    power: Power = 1.0
    points: Points = None

    @property
    @abstractmethod
    def pieces(self) -> int:
        """Intervals of the grid."""

    @model_validator(mode="after")
    def _one_point_between_pieces(self) -> Self:
        if self.points is None:
            return self
        if len(self.points) != self.pieces - 1:
            raise ValueError(f"{self.pieces} steps have {self.pieces - 1} points between them")
        if any(later >= earlier for earlier, later in pairwise(self.points)):
            raise ValueError("points must fall")
        return self


class _Stepwise(_Walk):
    """One evaluation a step."""

    steps: int = Field(50, ge=1, le=1000, description="Steps from noise to image.")

    @property
    def pieces(self) -> int:
        return self.steps

    @property
    def evaluations(self) -> int:
        """Network evaluations of one row."""
        return self.steps


class Ddpm(_Stepwise):
    """Ancestral sampling."""

    name: Literal["ddpm"] = "ddpm"


class Ddim(_Stepwise):
    """The probability-flow ODE by Euler's rule in its exponential form (Song et al., 2021)."""

    name: Literal["ddim"] = "ddim"


class Dpm2m(_Stepwise):
    """The same ODE by the second-order multistep rule DPM-Solver++(2M) (Lu et al., 2022)."""

    name: Literal["dpm-2m"] = "dpm-2m"


class Dpm2mSde(_Stepwise):
    """Ancestral sampling by that rule, SDE-DPM-Solver++(2M)."""

    name: Literal["dpm-2m-sde"] = "dpm-2m-sde"


class _Rtk(_Walk):
    """What every reverse-transition-kernel sampler takes (Huang et al., NeurIPS 2024)."""

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
    def pieces(self) -> int:
        return self.segments

    @property
    def segment_step_sizes(self) -> tuple[float, ...]:
        """One for each segment, whichever way they were given."""
        return self.step_sizes or (self.step_size,) * self.segments

    @property
    def _start_evaluations(self) -> int:
        return self.segments if self.start != "kernel" else 0


class RtkUla(_Rtk):
    """RTK with unadjusted Langevin steps: one evaluation a step."""

    name: Literal["rtk-ula"] = "rtk-ula"
    step_size: StepSize = Field(0.4, description=LANGEVIN)

    @property
    def evaluations(self) -> int:
        """Network evaluations of one row."""
        return self._start_evaluations + self.segments * self.inner_steps


class RtkMala(_Rtk):
    """RTK with Metropolis-adjusted Langevin steps, from scores alone (algorithm 2 of the paper).

    The change of log-density is a line integral of the score: by Simpson's rule two evaluations a
    step, by the trapezoid rule one; and one at the start of each segment.
    """

    name: Literal["rtk-mala"] = "rtk-mala"
    segments: Segments = 16
    step_size: StepSize = Field(0.4, description=LANGEVIN)
    energy: Literal["simpson", "trapezoid"] = Field(
        "trapezoid", description="Rule of the line integral that stands in for the log-density."
    )

    @property
    def evaluations(self) -> int:
        """Network evaluations of one row."""
        per_step = 2 if self.energy == "simpson" else 1
        return self._start_evaluations + self.segments * (1 + per_step * self.inner_steps)


class RtkUld(_Rtk):
    """RTK with underdamped Langevin steps, exponential integrator (algorithm 3): one each."""

    name: Literal["rtk-uld"] = "rtk-uld"
    step_size: StepSize = Field(
        1.0, description="Time step h, in units of the square root of mass."
    )
    friction: float = Field(2.0, ge=1e-3, le=100, description="Friction; 2 is critical.")

    @property
    def evaluations(self) -> int:
        """Network evaluations of one row."""
        return self._start_evaluations + self.segments * self.inner_steps


SamplerSpec = Annotated[
    Ddpm | Ddim | Dpm2m | Dpm2mSde | RtkUla | RtkMala | RtkUld, Field(discriminator="name")
]


# Beyond so many values of an image the exact trace is refused.
EXACT_DIMENSIONS = 64


class _Flow(_Spec):
    """What every solver of the probability-flow ODE with error control takes."""

    probes: int = Field(2, ge=1, le=64, description="Rademacher vectors that estimate the trace.")
    tolerance_nats: float = Field(
        0.5,
        ge=1e-6,
        le=10,
        description="Error of the ODE allowed in the log-density.",
    )
    max_evaluations: int = Field(
        2000, ge=8, le=20_000, description="Right-hand sides after which a row gives up."
    )
    trace: Literal["probes", "exact"] = Field(
        "probes",
        description=f"By probes, or a product for each of at most {EXACT_DIMENSIONS} values.",
    )
    latent: Literal["encoded", "sampled"] = Field(
        "encoded",
        description="The encoder's choice; or one a draw by the encoder's logits, as importance "
        "weights.",
    )

    def products(self, dimensions: int) -> int:
        """Vectors pulled back at each evaluation, of an image of so many values."""
        return dimensions if self.trace == "exact" else self.probes


class Adams(_Flow):
    """The probability-flow ODE by a predictor and corrector of second order, one evaluation a
    step, steps chosen row by row."""

    name: Literal["adams"] = "adams"

    @property
    def expected_evaluations(self) -> int:
        """Right-hand sides that a row will probably take: a guess, for prices and plans."""
        growth = math.pow(TYPICAL_TOLERANCE / self.tolerance_nats, GROWTH)
        expected = round(TYPICAL_EVALUATIONS * growth)
        return max(FEWEST_EVALUATIONS, min(self.max_evaluations, expected))


class Rk45(_Flow):
    """The same ODE by Dormand and Prince's pair: dearer on networks, made for tolerances far below
    what their roughness is worth."""

    name: Literal["rk45"] = "rk45"


class FlowPath(_Spec):
    """The probability-flow ODE in a fixed number of second-order steps, from image to noise, then
    fresh noise on the image: what a verdict on an image costs."""

    name: Literal["path"] = "path"
    probes: int = Field(1, ge=1, le=64, description="Rademacher vectors that estimate the trace.")
    steps: int = Field(30, ge=2, le=1000, description="Steps from image to noise.")
    fresh: int = Field(8, ge=1, le=1000, description="Draws of x_t for the bound's terms.")

    @property
    def evaluations(self) -> int:
        """Network evaluations of one row."""
        return self.steps + 1 + self.fresh


FlowSpec = Annotated[Adams | Rk45, Field(discriminator="name")]
Spec = SamplerSpec | Adams | Rk45 | FlowPath
