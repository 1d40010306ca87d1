"""The parameters that a caller may give each solver: defaults, bounds, price and limit. Torch-free.

The price is the number of network evaluations of one row, so that a request can be refused before
it costs any. The limit is what the solver comes to with ever finer steps. The laws of the tests
hold every solver to both.
"""

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from models.schema.fields import Eta, Extrapolation, LangevinStep, Segments, StepSize
from models.schema.limits import Chain, Steps
from models.schema.walks import START_ORDERS, RtkSpec, SolverSpec, StepwiseSpec


class Ddpm(StepwiseSpec):
    """Ancestral sampling (Ho et al., 2020)."""

    order: ClassVar[float] = 1

    name: Literal["ddpm"] = "ddpm"


class Ddim(StepwiseSpec):
    """The probability-flow ODE by Euler's rule in its exponential form (Song et al., 2021)."""

    order: ClassVar[float] = 1

    name: Literal["ddim"] = "ddim"


class Dpm2m(StepwiseSpec):
    """The probability-flow ODE by the second-order multistep rule DPM-Solver++(2M) (Lu et al.,
    2022)."""

    order: ClassVar[float] = 2

    name: Literal["dpm-2m"] = "dpm-2m"


class Dpm2mSde(StepwiseSpec):
    """Ancestral sampling by the second-order multistep rule SDE-DPM-Solver++(2M) (Lu et al.,
    2022). Each step may have weights of its own, as `mulan models tune-steps` learns them."""

    order: ClassVar[float] = 2

    name: Literal["dpm-2m-sde"] = "dpm-2m-sde"
    eta: Eta = None
    extrapolation: Extrapolation = None

    @model_validator(mode="after")
    def _one_weight_a_step(self) -> Self:
        for name in "eta", "extrapolation":
            weights = getattr(self, name)
            if weights is not None and len(weights) != self.steps:
                raise ValueError(f"{name} has {len(weights)} weights for {self.steps} steps")
        return self


class RtkUla(RtkSpec):
    """RTK with unadjusted Langevin steps: one evaluation a step."""

    name: Literal["rtk-ula"] = "rtk-ula"
    step_size: LangevinStep = 0.4


class RtkMala(RtkSpec):
    """RTK with Metropolis-adjusted Langevin steps, from scores alone (algorithm 2 of the paper).

    The change of log-density is a line integral of the score: by Simpson's rule it costs two
    evaluations a step, by the trapezoid rule one. Each segment costs one more, and the start of the
    first another one: the chain ends with the prediction from which the next start is drawn.
    """

    knows_its_end: ClassVar[bool] = True

    name: Literal["rtk-mala"] = "rtk-mala"
    segments: Segments = 16
    step_size: LangevinStep = 0.4
    energy: Literal["simpson", "trapezoid"] = Field(
        "trapezoid",
        description="Rule of the line integral that stands in for the log-density. The trapezoid "
        "rule misjudges moves from mode to mode: it makes rare modes too heavy, the more the "
        "longer the chain. Simpson's rule does not, for one evaluation more in each step. Neither "
        "mends a start in the wrong mode, which a chain hardly leaves.",
    )

    @property
    def evaluations_per_step(self) -> int:
        return 2 if self.energy == "simpson" else 1

    @property
    def chain(self) -> int:
        return 1 + super().chain

    @property
    def limit(self) -> Chain:
        balance = 5 if self.energy == "simpson" else 3
        return Chain(order=1, start=START_ORDERS[self.start], balance=balance)


class RtkUld(RtkSpec):
    """RTK with underdamped Langevin steps by an exponential integrator (algorithm 3 of the paper):
    one evaluation a step."""

    name: Literal["rtk-uld"] = "rtk-uld"
    step_size: StepSize = Field(
        1.0, description="Time step h, in units of the square root of mass."
    )
    friction: float = Field(2.0, ge=1e-3, le=100, description="Friction; 2 is critical.")


SamplerSpec = Annotated[
    Ddpm | Ddim | Dpm2m | Dpm2mSde | RtkUla | RtkMala | RtkUld,
    Field(discriminator="name"),
]
_SAMPLER: TypeAdapter[SamplerSpec] = TypeAdapter(SamplerSpec)


def sampler_spec(name: str, **parameters: object) -> SamplerSpec:
    """Return the spec of the sampler `name`, defaults where a parameter is left out.

    Raises ValidationError for an unknown name or parameter, and for a value out of bounds.
    """
    return _SAMPLER.validate_python({"name": name, **parameters})


# An exact trace takes one product for each value of an image; larger images are refused.
EXACT_DIMENSIONS = 64


class AdaptiveSpec(SolverSpec):
    """The parameters of a solver of the probability-flow ODE that controls its own error.

    Each solver declares its `order`: n steps of equal length err by the size of n^-order.
    """

    order: ClassVar[float]

    probes: int = Field(2, ge=1, le=64, description="Rademacher vectors that estimate the trace.")
    tolerance_nats: float = Field(
        0.5,
        ge=1e-6,
        le=10,
        description="Error of the ODE that is allowed in the log-density, nats.",
    )
    max_evaluations: int = Field(
        2000, ge=8, le=20_000, description="Right-hand sides after which a row gives up."
    )
    trace: Literal["probes", "exact"] = Field(
        "probes",
        description="The trace by random probes, or exactly by a product for each of at most "
        f"{EXACT_DIMENSIONS} values.",
    )
    latent: Literal["encoded", "sampled"] = Field(
        "encoded",
        description="The latent: the encoder's choice, or one drawn for each draw by the encoder's "
        "logits, with importance weights.",
    )

    @property
    def limit(self) -> Steps:
        """The limit of the log-density with ever more steps."""
        return Steps(self.order)

    @property
    def fresh_probes(self) -> bool:
        """True if the probes are renewed along the path."""
        return False

    @property
    def states_trace_error(self) -> bool:
        """True if a solve tells the error of its trace."""
        return self.trace == "probes" and (self.fresh_probes or self.probes > 1)

    def products(self, dimensions: int) -> int:
        """Vectors pulled back at each evaluation, for an image of `dimensions` values."""
        return dimensions if self.trace == "exact" else self.probes


# An ODE solve takes about so many evaluations at that tolerance, in nats: 74 to 107 on the shipped
# checkpoints whose steps were measured. GROWTH is the power by which they grow with precision
# (docs/likelihood.md).
TYPICAL_EVALUATIONS = 95
TYPICAL_TOLERANCE = 0.5
GROWTH = 0.45
FEWEST_EVALUATIONS = 50


class Adams(AdaptiveSpec):
    """The probability-flow ODE by a predictor and corrector of second order, one evaluation a
    step, steps chosen row by row."""

    order: ClassVar[float] = 2

    name: Literal["adams"] = "adams"
    probing: Literal["fresh", "fixed"] = Field(
        "fresh",
        description="Random probes that are renewed along the path, or stay the same.",
        exclude_if=lambda probing: probing == "fresh",
    )

    @property
    def fresh_probes(self) -> bool:
        return self.trace == "probes" and self.probing == "fresh"

    @property
    def expected_evaluations(self) -> int:
        """Right-hand sides that a row will probably take: a guess, for prices and plans."""
        growth = math.pow(TYPICAL_TOLERANCE / self.tolerance_nats, GROWTH)
        expected = round(TYPICAL_EVALUATIONS * growth)
        return max(FEWEST_EVALUATIONS, min(self.max_evaluations, expected))


class Rk45(AdaptiveSpec):
    """The probability-flow ODE by Dormand and Prince's pair of orders 5 and 4 (1980). It is dearer
    on networks than `adams`, and made for tolerances far below what their roughness is worth."""

    order: ClassVar[float] = 5

    name: Literal["rk45"] = "rk45"


ClassLabel = Annotated[
    int | None,
    Field(
        ge=0,
        exclude_if=lambda label: label is None,
        description="The class whose images are good ones, of a model that has classes.",
    ),
]


class FlowPath(SolverSpec):
    """The probability-flow ODE in a fixed number of second-order steps, from image to noise, then
    fresh noise on the image: the solve behind a verdict on an image."""

    name: Literal["path"] = "path"
    probes: int = Field(1, ge=1, le=64, description="Rademacher vectors that estimate the trace.")
    steps: int = Field(30, ge=2, le=1000, description="Steps from image to noise.")
    fresh: int = Field(8, ge=1, le=1000, description="Draws of x_t for the bound's terms.")
    # Left out where probes stay the same, as in all calibrations from before they could change.
    probing: Literal["fresh", "fixed"] = Field(
        "fixed",
        description="Random probes that are renewed along the path, or stay the same.",
        exclude_if=lambda probing: probing == "fixed",
    )
    class_label: ClassLabel = None

    @property
    def evaluations(self) -> int:
        """Network evaluations of one row."""
        return self.steps + 1 + self.fresh

    @property
    def limit(self) -> Steps:
        """The limit of the log-density and of the path's measures with ever more steps."""
        return Steps(2)


MOST_LEVELS = 16


class Levels(SolverSpec):
    """The noise that the network predicts in an image without any noise, at evenly spread noise
    levels: the score of the image at several scales (Mahmood et al., ICLR 2021)."""

    name: Literal["levels"] = "levels"
    levels: int = Field(6, ge=2, le=MOST_LEVELS, description="Number of noise levels.")
    class_label: ClassLabel = None

    @property
    def evaluations(self) -> int:
        """Network evaluations of one row."""
        return self.levels

    @property
    def probes(self) -> int:
        """Vectors whose pull-back is asked for: none."""
        return 0


VerdictSpec = Annotated[FlowPath | Levels, Field(discriminator="name")]
FlowSpec = Annotated[Adams | Rk45, Field(discriminator="name")]
