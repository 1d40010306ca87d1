"""The arms of the mixture study, and the specs that each may choose from."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from models.evaluation.mixtures.target import GAMMA_MAX, GAMMA_MIN
from models.schema.fields import Start
from models.schema.specs import Ddim, Ddpm, Dpm2m, RtkMala, RtkUla, RtkUld, SamplerSpec

Method = Literal["ula", "uld", "mala, trapezoid", "mala, Simpson", "mala, exact energy"]
METHODS: tuple[Method, ...] = (
    "ula",
    "uld",
    "mala, trapezoid",
    "mala, Simpson",
    "mala, exact energy",
)
EXACT: Method = "mala, exact energy"
DDPM = ("ddpm, uniform t", "ddpm, uniform gamma")
PAPER, TUNED = "five segments", "tuned"
PAPER_SEGMENTS = 5
# The modes part between these gammas, so the uneven points lie here.
PARTING = (2.0, -6.0)
# Factors of MALA's step size for methods that never reject a proposal, and so need shorter steps.
ULA_SCALES, ULD_SCALES = (0.25, 0.5), (0.5,)


class Frame(NamedTuple):
    """The segments of a walk: their number, where they end and how their chains start."""

    segments: int
    start: Start
    grid: Literal["gamma", "ou"] = "gamma"
    points: tuple[float, ...] | None = None


Sizes = Callable[[Frame], tuple[float, ...]]


class Arm(NamedTuple):
    """A method of the study.

    `specs` returns the specs to choose from at a budget, given the step sizes of each frame.
    `twin` names the same method on the same specs with an acceptance that knows the density, so
    that the two differ by the energy alone; None for a method without one.
    """

    name: str
    specs: Callable[[int, Sizes], list[SamplerSpec]]
    twin: str | None = None


def uneven(segments: int, start: Start) -> Frame:
    """Return a frame with segments evenly spaced where the modes part, and a last one down to the
    data."""
    first, last = PARTING
    ends = [first + (last - first) * i / (segments - 2) for i in range(segments - 1)]
    times = tuple(float(f"{(g - GAMMA_MIN) / (GAMMA_MAX - GAMMA_MIN):.4f}") for g in ends)
    return Frame(segments, start, points=times)


PAPER_FRAMES = tuple(Frame(PAPER_SEGMENTS, start, "ou") for start in ("ancestral", "kernel"))
TUNED_FRAMES = (
    Frame(2, "ancestral"),
    Frame(3, "ancestral"),
    Frame(2, "kernel"),
    *(uneven(count, "ancestral") for count in (4, 8, 20)),
    *(uneven(count, "multistep") for count in (6, 12)),
    *(Frame(count, "multistep") for count in (5, 10, 20, 30)),
)


def every_arm() -> list[Arm]:
    """Return all arms but the twins."""
    uniform_t, uniform_gamma = DDPM
    arms = [
        Arm(uniform_t, lambda n, _: [Ddpm(steps=n, grid="ou")]),
        Arm(uniform_gamma, lambda n, _: [Ddpm(steps=n)]),
        Arm("ddim", lambda n, _: [Ddim(steps=n)]),
        Arm("dpm-2m", lambda n, _: [Dpm2m(steps=n)]),
    ]
    for family, frames in ((PAPER, PAPER_FRAMES), (TUNED, TUNED_FRAMES)):
        arms += [
            Arm(rtk_name(method, family), _choice(method, frames), _twin(method, family))
            for method in METHODS
            if method != EXACT
        ]
    return arms


def every_frame() -> list[Frame]:
    """Return the frames of all specs that an arm may choose."""
    return [*PAPER_FRAMES, *TUNED_FRAMES]


def named_arm(name: str) -> Arm:
    """Return the arm of that name."""
    return next(arm for arm in every_arm() if arm.name == name)


def rtk_name(method: Method, family: str) -> str:
    """Return an RTK arm's name in legends and tables."""
    return f"rtk-{method}, {family}"


def _twin(method: Method, family: str) -> str | None:
    return rtk_name(EXACT, family) if method == "mala, trapezoid" else None


def _choice(method: Method, frames: tuple[Frame, ...]) -> Callable[[int, Sizes], list[SamplerSpec]]:
    return lambda budget, sizes: [
        spec for frame in frames for spec in _in_frame(method, frame, budget, sizes)
    ]


def _in_frame(method: Method, frame: Frame, budget: int, sizes: Sizes) -> Iterator[SamplerSpec]:
    """Yield specs of the frame with at least one inner step that spend the budget, or nearly all of
    it."""
    started, mala = frame.start != "kernel", method.startswith("mala")
    # The chain of MALA knows the prediction from which the next segment starts.
    room = (budget - started) // frame.segments - 1 if mala else budget // frame.segments - started
    inner = room // 2 if method == "mala, Simpson" else room
    if inner < 1:
        return
    shape = {**frame._asdict(), "inner_steps": inner}
    accepted = sizes(frame)
    if method == "ula":
        for scale in ULA_SCALES:
            yield RtkUla(**shape, step_sizes=_rounded(scale * c for c in accepted))
    elif method == "uld":
        for scale in ULD_SCALES:
            yield RtkUld(**shape, step_sizes=_rounded(2 * scale * math.sqrt(c) for c in accepted))
    else:
        energy = "simpson" if method == "mala, Simpson" else "trapezoid"
        yield RtkMala(**shape, step_sizes=accepted, energy=energy)


def _rounded(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(f"{value:.3g}") for value in values)
