"""The fields that several solver specs share: their types, bounds and descriptions. Torch-free.

The descriptions appear in the API's schema.
"""

from typing import Annotated, Literal

from pydantic import Field

# A spec may list at most this many points, or step sizes.
MOST_POINTS = 100
# The most steps of a walk from noise to image.
MOST_STEPS = 1000
# A Langevin step is stable below 2 where the density curves as much as the preconditioner allows
# for. Where the density is smoother, the chain needs longer steps.
MIN_STEP_SIZE, MAX_STEP_SIZE = 1e-6, 1e4

Grid = Literal["gamma", "time", "ou"]
GridField = Annotated[
    Grid,
    Field(
        description="Points evenly spaced in the mean of gamma, in diffusion time, or in the time "
        "of the Ornstein-Uhlenbeck process with that mean."
    ),
]
Points = Annotated[
    tuple[Annotated[float, Field(gt=0, lt=1)], ...] | None,
    Field(
        max_length=MOST_POINTS - 1,
        exclude_if=lambda points: points is None,
        description="Network times at which the steps end, falling, without the ends 1 and 0; "
        "one less than there are steps. Left out, `grid` places them.",
    ),
]
Eta = Annotated[
    tuple[Annotated[float, Field(ge=0, le=1)], ...] | None,
    Field(
        max_length=MOST_POINTS,
        exclude_if=lambda weights: weights is None,
        description="Share of the ancestral noise that each step draws (DDIM's eta): with 0 the "
        "step follows the ODE, as `dpm-2m` does. Left out, 1 in every step.",
    ),
]
Extrapolation = Annotated[
    tuple[Annotated[float, Field(ge=-4, le=4)], ...] | None,
    Field(
        max_length=MOST_POINTS,
        exclude_if=lambda weights: weights is None,
        description="Weight of each step's second-order term: with 0 the step is of first order. "
        "Left out, 1 in every step. The first step has no such term.",
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
        description="The start of a segment's chain: an ancestral (DDPM) draw, for one "
        "evaluation; such a draw of second order, which uses the start before (`dpm-2m-sde`), "
        "for one evaluation; or a draw of the kernel's Gaussian factor, for none."
    ),
]
Segments = Annotated[
    int,
    Field(ge=1, le=100, description="Pieces of the way from noise to image, solved in turn."),
]
InnerSteps = Annotated[int, Field(ge=1, le=500, description="Steps of each segment's inner chain.")]
StepSize = Annotated[float, Field(ge=MIN_STEP_SIZE, le=MAX_STEP_SIZE)]
LangevinStep = Annotated[
    StepSize,
    Field(description="Step of the inner chain, relative to the variance of a DDPM step."),
]
StepSizes = Annotated[
    tuple[StepSize, ...] | None,
    Field(
        max_length=MOST_POINTS,
        exclude_if=lambda sizes: sizes is None,
        description="One step size for each segment, in place of `step_size`.",
    ),
]
