"""The settings that tuning chooses among, whatever the number of evaluations."""

from collections.abc import Mapping
from typing import NamedTuple

from models.evaluation.samples.sweep import BASELINES, BUDGETS
from models.schema.specs import Ddpm, SamplerSpec, sampler_spec
from models.solvers import SAMPLERS


class Shape(NamedTuple):
    """A sampler with all its settings but one: how many steps it takes, or segments."""

    name: str
    settings: Mapping[str, object]

    def spec(self, budget: int) -> SamplerSpec | None:
        """Return the spec with as many pieces as `budget` evaluations pay for; None for no
        piece."""
        return sampler_spec(self.name, **self.settings).within(budget)

    def bent(self, power: float) -> "Shape":
        """Return the same shape over a grid of another power."""
        return Shape(self.name, {**self.settings, "power": power})


# A sampler that is not in this list is tried with its defaults.
_LISTED = (
    Shape("ddpm", {"grid": "gamma"}),
    Shape("ddpm", {"grid": "time"}),
    *(
        Shape("rtk-ula", {"inner_steps": inner, "step_size": size, "start": start})
        for inner, size, start in (
            (1, 0.5, "ancestral"),
            (1, 1.0, "ancestral"),
            (1, 0.25, "multistep"),
            (1, 0.5, "multistep"),
            (1, 1.0, "multistep"),
            (2, 0.5, "multistep"),
        )
    ),
    *(
        Shape("rtk-uld", {"inner_steps": inner, "step_size": size, "start": start})
        for inner, size, start in (
            (1, 1.5, "ancestral"),
            (1, 1.0, "multistep"),
            (1, 1.5, "multistep"),
            (1, 2.0, "multistep"),
            (2, 1.0, "multistep"),
        )
    ),
    *(
        Shape("rtk-mala", {"inner_steps": inner, "energy": energy, "start": start})
        for inner, energy, start in (
            (1, "trapezoid", "ancestral"),
            (1, "trapezoid", "multistep"),
            (2, "trapezoid", "multistep"),
            (1, "simpson", "multistep"),
        )
    ),
)
# These powers are tried for the best shape of each sampler, after power 1.
POWERS = (0.35, 0.5, 0.7, 1.4)


def _shapes_of(name: str) -> list[Shape]:
    return [shape for shape in _LISTED if shape.name == name] or [Shape(name, {})]


SHAPES = tuple(shape for name in SAMPLERS for shape in _shapes_of(name))


def untuned() -> list[SamplerSpec]:
    """Return the first shape of every sampler at each budget that pays for it, and the
    baselines."""
    first = {shape.name: shape for shape in reversed(SHAPES)}
    tried = [shape.spec(budget) for shape in reversed(first.values()) for budget in BUDGETS]
    found = [spec for spec in tried if spec is not None]
    return [*found, *(Ddpm(steps=steps) for steps in BASELINES)]
