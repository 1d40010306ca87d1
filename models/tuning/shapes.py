"""The settings that tuning chooses among, whatever the number of evaluations."""

from typing import Any, NamedTuple

from pydantic import TypeAdapter

from models.evaluation.samples.sweep import BASELINES, BUDGETS
from models.schema.specs import Ddpm, SamplerSpec

_SPEC: TypeAdapter[SamplerSpec] = TypeAdapter(SamplerSpec)


class Shape(NamedTuple):
    """A sampler with all its settings but one: how many steps it takes, or segments."""

    name: str
    settings: dict[str, Any]

    def spec(self, budget: int) -> SamplerSpec | None:
        """With as many as `budget` evaluations allow; None where that is none."""
        count = "segments" if self.name.startswith("rtk") else "steps"
        one = _SPEC.validate_python({"name": self.name, count: 1, **self.settings})
        pieces = budget // one.evaluations
        return one.model_copy(update={count: pieces}) if pieces else None

    def bent(self, power: float) -> "Shape":
        """The same over a grid of another power."""
        return Shape(self.name, {**self.settings, "power": power})


SHAPES = (
    Shape("ddpm", {"grid": "gamma"}),
    Shape("ddpm", {"grid": "time"}),
    Shape("ddim", {}),
    Shape("dpm-2m", {}),
    Shape("dpm-2m-sde", {}),
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
# Tried for the best shape of each sampler, after power 1.
POWERS = (0.35, 0.5, 0.7, 1.4)


def untuned() -> list[SamplerSpec]:
    """The first shape of every sampler at each budget that pays for it, and the baselines."""
    first = {shape.name: shape for shape in reversed(SHAPES)}
    tried = [shape.spec(budget) for shape in reversed(first.values()) for budget in BUDGETS]
    found = [spec for spec in tried if spec is not None]
    return [*found, *(Ddpm(steps=steps) for steps in BASELINES)]
