"""Solver settings by name, for callers who do not want to choose. Torch-free."""

from typing import Literal

from pydantic import TypeAdapter, ValidationError

from models.schema.errors import CheckpointError
from models.schema.manifest import Manifest, first_fault
from models.schema.specs import Ddpm, SamplerSpec

PresetName = Literal["fast", "balanced", "best"]
Presets = dict[PresetName, SamplerSpec]

# Steps evenly spaced in gamma converge at about 50; evenly spaced in time they need hundreds.
UNTUNED: Presets = {
    "fast": Ddpm(steps=20, grid="gamma"),
    "balanced": Ddpm(steps=50, grid="gamma"),
    "best": Ddpm(steps=250, grid="gamma"),
}

_PRESETS: TypeAdapter[Presets] = TypeAdapter(Presets)


def presets(manifest: Manifest) -> Presets:
    """Return the presets that the checkpoint names. One that does not name `balanced` has untuned
    ones for those that it lacks.

    Raises CheckpointError for a preset of an unknown name, or one that no solver accepts.
    """
    try:
        own = _PRESETS.validate_python(manifest.presets)
    except ValidationError as error:
        raise CheckpointError(f"{manifest.name}: presets.{first_fault(error)}") from error
    return own if "balanced" in own else UNTUNED | own


def preset(offered: Presets, name: PresetName) -> SamplerSpec:
    """Return the solver of the preset `name`, or that of `balanced` where the checkpoint does not
    offer it, because no other solver is cheaper or nearer."""
    return offered.get(name, offered["balanced"])
