"""The RTK paper's study on mixtures (Huang et al., 2024, section 5), repeated with exact scores.

There are three families of arms: ancestral sampling over both of its grids and the ODE samplers;
RTK as in the paper, with five segments even in the Ornstein-Uhlenbeck time; and RTK tuned for each
number of evaluations. Step sizes are tuned in both RTK families, on separate draws.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple, TypeVar

import torch
from tqdm import tqdm

from models.evaluation.acceptance import adapted
from models.evaluation.analytic import Mixture
from models.evaluation.defaults import BUDGETS, MIXTURES
from models.evaluation.measurement import EvaluationRecord, Measurement
from models.evaluation.mixtures.arms import (
    DDPM,
    TUNED,
    Arm,
    Frame,
    Sizes,
    every_arm,
    every_frame,
    named_arm,
)
from models.evaluation.mixtures.draw import ExactMala, draw_seeds, draw_specs
from models.evaluation.mixtures.target import Target
from models.schema.specs import RtkMala, SamplerSpec

Given = TypeVar("Given")
Found = TypeVar("Found")

TARGETS = (
    Target(MIXTURES[0], 10, (1.0,) * 6),
    Target(MIXTURES[1], 10, (0.47, 0.015, 0.015) * 2),
    Target(MIXTURES[2], 2, (1.0,) * 6),
    Target(MIXTURES[3], 2, (1.0,) * 12, width=0.03),
)
# Budgets at which tuned RTK is compared with ancestral sampling and rare modes are counted.
COMPARED = (60, 100)
FLOOR = "exact draws"
WITH_EXACT = "with exact energy"
ROWS, TUNING_ROWS, ADAPTING_ROWS = 1500, 400, 200
# Few draws fall on rare modes, so the best specs draw more where rare modes are counted.
FINALISTS, FINAL_ROWS = 2, 6000
RARE_DRAWS, RARE_ROWS = 12, 2500
# Seeds of the draws for tuning and for counting rare modes, apart from those for accuracy.
TUNING_SEED, RARE_SEED = 1_000_000, 2_000_000
# In choosing a spec, the relative error of the rare modes' weight, beyond that of exact draws,
# is subtracted from the marginal accuracy with this factor.
RARE_COST = 0.1


class Point(EvaluationRecord):
    """One arm at one budget of evaluations: means over seeds and their standard errors."""

    target: str
    arm: str
    budget: int
    spec: SamplerSpec | None
    evaluations: int
    accuracy: Measurement
    rare_weight: Measurement | None


class RareWeight(EvaluationRecord):
    """The relative error of the rare modes' total weight, from many more draws."""

    target: str
    arm: str
    budget: int
    draws: int
    error: Measurement


class Asked(NamedTuple):
    """A question for the weight of rare modes: of a point at a budget, None for exact draws; by its
    own energy, or by the `exact` one."""

    budget: int
    point: Point | None
    exact: bool = False


class Study(NamedTuple):
    """The study of all arms on one target, at each of `budgets`, over `seeds` seeds."""

    target: Target
    seeds: int
    budgets: tuple[int, ...] = BUDGETS
    processes: int = 1

    @property
    def mixture(self) -> Mixture:
        return self.target.denoiser()

    def run(self) -> list[Point]:
        """Return the noise floor, then each arm at each budget."""
        exact = [self.target.draw(ROWS, seed) for seed in range(self.seeds)]
        frames = every_frame()
        sizes = self._map(self._step_sizes, frames, f"{self.target.name}: step sizes")
        points = partial(self._points, dict(zip(frames, sizes, strict=True)))
        found = self._map(points, [arm.name for arm in every_arm()], self.target.name)
        return [self._point(FLOOR, 0, None, exact), *(point for some in found for point in some)]

    def rare_weights(self, points: Sequence[Point]) -> list[RareWeight]:
        """Return the error of the rare modes' weight at each compared budget.

        It is measured for exact draws, the better ancestral grid, `dpm-2m` and every tuned RTK arm;
        for a Metropolis-like arm also with exact energies on the same settings.
        """
        if not self.target.has_rare:
            return []
        asked: list[Asked] = []
        for budget in (b for b in COMPARED if b in self.budgets):
            here = [p for p in points if p.target == self.target.name and p.budget == budget]
            ddpm = max((p for p in here if p.arm in DDPM), key=lambda p: p.accuracy.mean)
            others = [p for p in here if p.arm == "dpm-2m" or is_tuned(p.arm)]
            for point in (None, ddpm, *others):
                asked.append(Asked(budget, point))
                if point is not None and isinstance(point.spec, RtkMala):
                    asked.append(Asked(budget, point, exact=True))
        return self._map(self._rare, asked, f"{self.target.name}: rare modes")

    def _map(
        self, work: Callable[[Given], Found], given: Sequence[Given], label: str
    ) -> list[Found]:
        bar = partial(tqdm, total=len(given), desc=label, file=sys.stderr)
        if self.processes == 1:
            return list(bar(map(work, given)))
        # torch's threads do not survive a fork.
        with ProcessPoolExecutor(
            self.processes, get_context("spawn"), torch.set_num_threads, (1,)
        ) as pool:
            return list(bar(pool.map(work, given)))

    def _step_sizes(self, frame: Frame) -> tuple[float, ...]:
        """Return the step size of each segment at which MALA has its target acceptance."""
        spec = RtkMala(**frame._asdict(), inner_steps=4)
        found = adapted(self.mixture, spec, torch.arange(ADAPTING_ROWS), TUNING_SEED)
        return found.segment_step_sizes

    def _points(self, sizes: Mapping[Frame, tuple[float, ...]], name: str) -> list[Point]:
        """Return one arm's points at every budget that suffices for it."""
        arm = named_arm(name)
        found = []
        for budget in self.budgets:
            spec = self._best(arm, budget, sizes.__getitem__)
            if spec is None:
                continue
            draws = self._draws(spec, ROWS, range(self.seeds))
            found.append(self._point(name, budget, spec, draws))
            if arm.twin is not None:
                draws = self._draws(spec, ROWS, range(self.seeds), exact=True)
                found.append(self._point(arm.twin, budget, spec, draws))
        return found

    def _rare(self, asked: Asked) -> RareWeight:
        """Measure the rare modes' weight of one arm's point, or of exact draws."""
        budget, point, exact = asked
        seeds = range(RARE_SEED, RARE_SEED + RARE_DRAWS)
        draws: Iterable[torch.Tensor]
        if point is None or point.spec is None:
            name, draws = FLOOR, [self.target.draw(RARE_ROWS, seed) for seed in seeds]
        else:
            name = f"{point.arm}, {WITH_EXACT}" if exact else point.arm
            draws = self._draws(point.spec, RARE_ROWS, seeds, exact)
        return RareWeight(
            target=self.target.name,
            arm=name,
            budget=budget,
            draws=RARE_DRAWS * RARE_ROWS,
            error=Measurement.of(torch.tensor([self.target.rare_error(x) for x in draws])),
        )

    def _draws(
        self, spec: SamplerSpec, rows: int, seeds: Sequence[int], exact: bool = False
    ) -> torch.Tensor:
        """Return draws `[seeds, rows, D]` by the spec; with `exact` energies, which need no
        prediction half-way, by a spec of RTK-MALA."""
        if not exact:
            return draw_seeds(self.mixture, spec, rows, seeds)
        spec = spec.replaced(energy="trapezoid")
        return draw_seeds(self.mixture, spec, rows, seeds, ExactMala(self.mixture))

    def _best(self, arm: Arm, budget: int, sizes: Sizes) -> SamplerSpec | None:
        """Return the arm's best spec on the tuning draws, or None where the budget suffices for
        none."""
        specs = arm.specs(budget, sizes)
        if len(specs) > 1:
            specs = self._ranked(specs, TUNING_ROWS)
            if self.target.has_rare and budget in COMPARED:
                specs = self._ranked(specs[:FINALISTS], FINAL_ROWS)
        return specs[0] if specs else None

    def _ranked(self, specs: Sequence[SamplerSpec], rows: int) -> list[SamplerSpec]:
        """Return the specs, the best first, by their scores on `rows` tuning draws."""
        draws = draw_specs(self.mixture, specs, rows, TUNING_SEED)
        scores = dict(zip(specs, map(self._score, draws), strict=True))
        return sorted(specs, key=lambda spec: -scores[spec])

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
            accuracy=Measurement.of(accuracy),
            rare_weight=Measurement.of(rare) if self.target.has_rare else None,
        )


def is_tuned(arm: str) -> bool:
    """Return True if the arm is RTK tuned from scores alone."""
    return arm.endswith(TUNED) and "exact" not in arm
