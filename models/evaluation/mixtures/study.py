"""The RTK paper's study on mixtures (Huang et al., 2024, section 5), run again with exact scores.

Three families of arms: ancestral sampling over both of its grids and the ODE samplers; RTK as the
paper sets it up, five segments even in the Ornstein-Uhlenbeck time; and RTK tuned for each number
of evaluations. Step sizes are tuned in both RTK families, on draws of their own.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

import torch
from tqdm import tqdm

from models.acceptance import adapted
from models.analytic import Mixture
from models.evaluation.figure import Figure, Record
from models.evaluation.mixtures.arms import DDPM, TUNED, Arm, Frame, every_arm
from models.evaluation.mixtures.draw import ExactMala, draw
from models.evaluation.mixtures.target import Target
from models.specs import RtkMala, SamplerSpec

TARGETS = (
    Target("10-D, 6 modes", 10, (1.0,) * 6),
    Target("10-D, rare modes", 10, (0.47, 0.015, 0.015) * 2),
    Target("2-D, 6 modes", 2, (1.0,) * 6),
    Target("2-D, 12 narrow modes", 2, (1.0,) * 12, width=0.03),
)
BUDGETS = (10, 20, 30, 60, 100)
# Where tuned RTK is held against ancestral sampling, and rare modes are counted closely.
COMPARED = (60, 100)
FLOOR = "exact draws"
ROWS, TUNING_ROWS, ADAPTING_ROWS = 1500, 600, 300
# Few of those are rare ones: where they are to be counted, the best few specs draw again.
FINALISTS, FINAL_ROWS = 4, 12_000
RARE_DRAWS, RARE_ROWS = 12, 5000
# Draws for tuning, and for counting rare modes, are never those that measure accuracy.
TUNING_SEED, RARE_SEED = 1_000_000, 2_000_000
# A relative error of the rare modes' weight costs a choice this share of it in marginal accuracy,
# as far as the error exceeds what chance does to exact draws.
RARE_COST = 0.1


class Point(Record):
    """One arm at one budget of evaluations: means over seeds and their standard errors."""

    target: str
    arm: str
    budget: int
    spec: SamplerSpec | None
    evaluations: int
    accuracy: Figure
    rare_weight: Figure | None


class RareWeight(Record):
    """The rare modes' total weight over its true value, less 1: from many more draws."""

    target: str
    arm: str
    budget: int
    draws: int
    error: Figure


class Study:
    """All arms on one target."""

    def __init__(self, target: Target, seeds: int, budgets: Sequence[int] = BUDGETS) -> None:
        self.target = target
        self.seeds = range(seeds)
        self.budgets = budgets
        self.mixture: Mixture = target.denoiser()
        self._sizes = cache(self._adapt)

    def run(self) -> Iterator[Point]:
        """The noise floor first, then each arm at each budget."""
        exact = [self.target.draw(ROWS, seed) for seed in self.seeds]
        yield self._point(FLOOR, 0, None, exact)
        for arm in tqdm(every_arm(), desc=self.target.name):
            for budget in self.budgets:
                spec = self._best(arm, budget)
                if spec is not None:
                    draws = (self._draw(arm, spec, ROWS, seed) for seed in self.seeds)
                    yield self._point(arm.name, budget, spec, draws)

    def rare_weights(self, points: Sequence[Point]) -> Iterator[RareWeight]:
        """At each compared budget, of exact draws, the better ancestral grid, `dpm-2m`, and every
        tuned RTK arm."""
        if not self.target.has_rare:
            return
        seeds = range(RARE_SEED, RARE_SEED + RARE_DRAWS)
        exact = [self.target.draw(RARE_ROWS, seed) for seed in seeds]
        arms = {arm.name: arm for arm in every_arm()}
        for budget in (b for b in COMPARED if b in self.budgets):
            yield self._rare(FLOOR, budget, exact)
            here = [p for p in points if p.target == self.target.name and p.budget == budget]
            ddpm = max((p for p in here if p.arm in DDPM), key=lambda p: p.accuracy.mean)
            others = [p for p in here if p.arm == "dpm-2m" or is_tuned(p.arm)]
            for point in tqdm((ddpm, *others), desc=f"rare modes, {budget}"):
                assert point.spec is not None
                arm, spec = arms[point.arm], point.spec
                found = (self._draw(arm, spec, RARE_ROWS, seed) for seed in seeds)
                yield self._rare(point.arm, budget, found)

    def _rare(self, arm: str, budget: int, draws: Iterable[torch.Tensor]) -> RareWeight:
        error = Figure.of(torch.tensor([self.target.rare_error(x) for x in draws]))
        drawn = RARE_DRAWS * RARE_ROWS
        return RareWeight(target=self.target.name, arm=arm, budget=budget, draws=drawn, error=error)

    def _draw(self, arm: Arm, spec: SamplerSpec, rows: int, seed: int) -> torch.Tensor:
        solver = ExactMala(self.mixture) if arm.exact else None
        return draw(self.mixture, spec, rows, seed, solver)

    def _adapt(self, frame: Frame) -> tuple[float, ...]:
        spec = RtkMala(**frame._asdict(), inner_steps=4)
        return adapted(
            self.mixture, spec, torch.arange(ADAPTING_ROWS), TUNING_SEED
        ).segment_step_sizes

    def _best(self, arm: Arm, budget: int) -> SamplerSpec | None:
        """The arm's best spec on the tuning draws; None where the budget pays for none."""
        specs = arm.specs(budget, self._sizes)
        if len(specs) > 1:
            specs = self._ranked(arm, specs, TUNING_ROWS)
            if self.target.has_rare and budget in COMPARED:
                specs = self._ranked(arm, specs[:FINALISTS], FINAL_ROWS)
        return specs[0] if specs else None

    def _ranked(self, arm: Arm, specs: Sequence[SamplerSpec], rows: int) -> list[SamplerSpec]:
        """The specs by falling score of so many tuning draws."""
        return sorted(
            specs, key=lambda spec: -self._score(self._draw(arm, spec, rows, TUNING_SEED))
        )

    def _score(self, x: torch.Tensor) -> float:
        chance = self.target.rare_chance(len(x))
        excess = max(abs(self.target.rare_error(x)) - chance, 0.0)
        return self.target.accuracy(x) - RARE_COST * excess

    def _point(
        self,
        arm: str,
        budget: int,
        spec: SamplerSpec | None,
        draws: Iterable[torch.Tensor],
    ) -> Point:
        found = [(self.target.accuracy(x), self.target.rare_error(x)) for x in draws]
        accuracy, rare = torch.tensor(found, dtype=torch.float64).unbind(1)
        return Point(
            target=self.target.name,
            arm=arm,
            budget=budget,
            spec=spec,
            evaluations=0 if spec is None else spec.evaluations,
            accuracy=Figure.of(accuracy),
            rare_weight=Figure.of(rare) if self.target.has_rare else None,
        )


def is_tuned(arm: str) -> bool:
    """Whether the arm is RTK tuned from scores alone."""
    return arm.endswith(TUNED) and "exact" not in arm
