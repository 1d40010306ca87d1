"""The RTK paper's study on mixtures (Huang et al., 2024, section 5), run again with exact scores.

Three families of arms: ancestral sampling over both of its grids and the ODE samplers; RTK as the
paper sets it up, five segments even in the Ornstein-Uhlenbeck time; and RTK tuned for each number
of evaluations. Step sizes are tuned everywhere, on draws of their own.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from models.acceptance import adapted
from models.analytic import Mixture
from models.evaluation.figure import Figure, Record
from models.evaluation.mixtures.draw import ExactMala, draw
from models.evaluation.mixtures.target import Target
from models.specs import Ddim, Ddpm, Dpm2m, RtkMala, RtkUla, RtkUld, SamplerSpec, Start

Method = Literal["ula", "uld", "mala, trapezoid", "mala, Simpson", "mala, exact energy"]
METHODS: tuple[Method, ...] = (
    "ula",
    "uld",
    "mala, trapezoid",
    "mala, Simpson",
    "mala, exact energy",
)
TARGETS = (
    Target("2-D, 6 modes", 2, (1.0,) * 6),
    Target("10-D, 6 modes", 10, (1.0,) * 6),
    Target("10-D, 12 narrow modes", 10, (1.0,) * 12, width=0.03),
    Target("10-D, rare modes", 10, (0.47, 0.02, 0.01, 0.47, 0.02, 0.01)),
)
BUDGETS = (10, 20, 30, 40, 60, 100, 200)
SEGMENTS = (1, 2, 3, 4, 5, 6, 8, 10, 15)
STARTS: tuple[Start, ...] = ("ancestral", "kernel")
SCALES = (0.25, 0.5, 1.0)
PAPER_SEGMENTS = 5
FLOOR = "exact draws"
ROWS, TUNING_ROWS, ADAPTING_ROWS = 5000, 1500, 300
TUNING_SEED = 1_000_000


class Point(Record):
    """One arm at one number of evaluations: means over seeds and their standard errors."""

    target: str
    arm: str
    spec: SamplerSpec | None
    evaluations: int
    accuracy: Figure
    rare_weight: Figure


class Arm(NamedTuple):
    """A name, the specs that it may choose from at each budget, and what solves them where that is
    not the registered solver."""

    name: str
    specs: Callable[[int], list[SamplerSpec]]
    exact: bool = False


class Frame(NamedTuple):
    """Segments, where they end, and how their chains start."""

    segments: int
    grid: Literal["gamma", "ou"]
    start: Start


class Study:
    """All arms on one target."""

    def __init__(self, target: Target, seeds: int) -> None:
        self.target = target
        self.seeds = range(seeds)
        self.mixture: Mixture = target.denoiser()
        self._sizes = cache(self._adapt)

    def run(self) -> Iterator[Point]:
        """The noise floor first, then each arm at each budget."""
        yield self._point(FLOOR, None, 0, [self.target.draw(ROWS, s) for s in self.seeds])
        for arm in tqdm(self.arms(), desc=self.target.name):
            solver = ExactMala(self.mixture) if arm.exact else None
            for budget in BUDGETS:
                spec = self._best(arm, budget)
                if spec is not None:
                    draws = [draw(self.mixture, spec, ROWS, s, solver) for s in self.seeds]
                    yield self._point(arm.name, spec, spec.evaluations, draws)

    def arms(self) -> list[Arm]:
        """Every arm, in the order of the legend."""
        paper = [Frame(PAPER_SEGMENTS, "ou", start) for start in STARTS]
        tuned = [Frame(count, "gamma", start) for count in SEGMENTS for start in STARTS]
        found = [
            Arm("ddpm, uniform t", lambda n: [Ddpm(steps=n, grid="ou")]),
            Arm("ddpm, uniform gamma", lambda n: [Ddpm(steps=n)]),
            Arm("ddim", lambda n: [Ddim(steps=n)]),
            Arm("dpm-2m", lambda n: [Dpm2m(steps=n)]),
        ]
        for label, frames in (("five segments", paper), ("tuned", tuned)):
            found += [
                Arm(f"rtk-{method}, {label}", self._specs(method, frames), "exact" in method)
                for method in METHODS
            ]
        return found

    def _specs(self, method: Method, frames: list[Frame]) -> Callable[[int], list[SamplerSpec]]:
        def of(budget: int) -> list[SamplerSpec]:
            return [spec for frame in frames for spec in self._in_frame(method, frame, budget)]

        return of

    def _in_frame(self, method: Method, frame: Frame, budget: int) -> Iterator[SamplerSpec]:
        """Specs of the frame with at least one inner step that spend the budget, or nearly."""
        room = budget // frame.segments - (frame.start == "ancestral")
        inner = {"mala, Simpson": (room - 1) // 2, "ula": room, "uld": room}.get(method, room - 1)
        if inner < 1:
            return
        shape = {**frame._asdict(), "inner_steps": inner}
        sizes = self._sizes(frame)
        if method == "ula":
            for scale in SCALES:
                yield RtkUla(**shape, step_sizes=_rounded(scale * c for c in sizes))
        elif method == "uld":
            for scale in SCALES:
                yield RtkUld(**shape, step_sizes=_rounded(2 * scale * math.sqrt(c) for c in sizes))
        else:
            energy = "simpson" if method == "mala, Simpson" else "trapezoid"
            yield RtkMala(**shape, step_sizes=sizes, energy=energy)

    def _adapt(self, frame: Frame) -> tuple[float, ...]:
        spec = RtkMala(**frame._asdict(), inner_steps=4)
        return adapted(
            self.mixture, spec, torch.arange(ADAPTING_ROWS), TUNING_SEED
        ).segment_step_sizes

    def _best(self, arm: Arm, budget: int) -> SamplerSpec | None:
        """The arm's most accurate spec on the tuning draws."""
        specs = arm.specs(budget)
        if len(specs) < 2:
            return specs[0] if specs else None
        solver = ExactMala(self.mixture) if arm.exact else None
        found = [
            self.target.accuracy(draw(self.mixture, spec, TUNING_ROWS, TUNING_SEED, solver))
            for spec in specs
        ]
        return specs[found.index(max(found))]

    def _point(
        self, arm: str, spec: SamplerSpec | None, evaluations: int, draws: list[Tensor]
    ) -> Point:
        accuracy = torch.tensor([self.target.accuracy(x) for x in draws])
        rare = torch.tensor([self.target.rare_error(x) for x in draws])
        return Point(
            target=self.target.name,
            arm=arm,
            spec=spec,
            evaluations=evaluations,
            accuracy=Figure.of(accuracy),
            rare_weight=Figure.of(rare),
        )


def _rounded(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(f"{value:.3g}") for value in values)
