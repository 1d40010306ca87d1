"""The search for the settings that draw best for a number of evaluations, offline.

Settings are chosen by what a pilot draws, against training images; the winners are then measured
with other seeds against test images, and the presets come from that table.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from tqdm import tqdm

from models.evaluation.acceptance import adapted
from models.evaluation.samples.drawing import Drawings
from models.evaluation.samples.sweep import BASELINES, BUDGETS, Judge, Sweep
from models.schema.presets import PresetName, Presets
from models.schema.specs import Ddpm, RtkMala, SamplerSpec
from models.tuning.shapes import POWERS, SHAPES, Shape

# A larger budget takes the shape that was best for this number of evaluations.
LARGEST_PILOT = 50
ADAPTING_IMAGES = 32
PRESET_BUDGETS: dict[PresetName, int] = {"fast": 10, "balanced": 50, "best": 250}


class Trial(NamedTuple):
    """One shape's pilot: its distance from the training images, and its settings."""

    distance: float
    shape: Shape
    spec: SamplerSpec


@dataclass(frozen=True)
class Pilot:
    """The draws of the trials: `count` images with `seed` each, compared by `judge`."""

    drawings: Drawings
    judge: Judge
    count: int
    seed: int

    def chosen(self) -> Iterator[SamplerSpec]:
        """Yield the best settings of every sampler at each budget, and the baselines."""
        names = list(dict.fromkeys(shape.name for shape in SHAPES))
        pilots = [budget for budget in BUDGETS if budget <= LARGEST_PILOT]
        with tqdm(total=len(names) * len(pilots), desc="settings", file=sys.stderr) as bar:
            for name in names:
                for budget in pilots:
                    trial = self.best(name, budget)
                    if trial is not None:
                        yield trial.spec
                    bar.update()
                assert trial is not None
                for budget in BUDGETS[len(pilots) :]:
                    spec = trial.shape.spec(budget)
                    assert spec is not None
                    yield self.settle(spec)
        yield from (Ddpm(steps=steps) for steps in BASELINES)

    def best(self, name: str, budget: int) -> Trial | None:
        """Return the best of this sampler's shapes, bent by the best of the powers; None where the
        budget does not even pay for one segment."""
        shapes = [shape for shape in SHAPES if shape.name == name]
        straight = list(self._trials(shapes, budget))
        if not straight:
            return None
        first = min(straight, key=_distance)
        bent = self._trials(map(first.shape.bent, POWERS), budget)
        return min([first, *bent], key=_distance)

    def settle(self, spec: SamplerSpec) -> SamplerSpec:
        """Return the spec, with step sizes adapted where proposals are accepted or refused."""
        if not isinstance(spec, RtkMala):
            return spec
        index = torch.arange(ADAPTING_IMAGES, device=self.drawings.device)
        return adapted(self.drawings.denoiser, spec, index, self.seed)

    def _trials(self, shapes: Iterable[Shape], budget: int) -> Iterator[Trial]:
        for shape in shapes:
            spec = shape.spec(budget)
            if spec is not None:
                spec = self.settle(spec)
                drawn = self.drawings.draw(spec, self.count, self.seed)
                trial = Trial(self.judge.kernel_distance(drawn.tokens).value, shape, spec)
                tqdm.write(f"{trial.distance:8.5f} {spec.model_dump_json()}", file=sys.stderr)
                yield trial


def winners(found: Sweep) -> Presets:
    """Return the presets. `fast` is the cheapest that is as near as any of its budget, up to one
    standard error; the others are the nearest for their evaluations or fewer. `fast` and `best` are
    left out where they would be `balanced`.

    Learned steps may be `fast` alone: they minimise the distance itself, which therefore does not
    tell whether they are better in anything else.
    """
    rows = [row for row in found.rows if row.solver.points is None]
    tuned = found.model_copy(update={"rows": rows})
    named: Presets = {
        "fast": found.cheapest(PRESET_BUDGETS["fast"]).solver,
        "balanced": tuned.best(PRESET_BUDGETS["balanced"]).solver,
        "best": tuned.best(PRESET_BUDGETS["best"]).solver,
    }
    balanced = named["balanced"]
    return {name: spec for name, spec in named.items() if name == "balanced" or spec != balanced}


def _distance(trial: Trial) -> float:
    return trial.distance
