"""Solver settings by name, for callers who do not want to choose. Torch-free."""

from typing import Literal

from pydantic import TypeAdapter, ValidationError

from models.schema.errors import CheckpointError
from models.schema.manifest import Manifest
from models.schema.specs import Ddpm, SamplerSpec

PresetName = Literal["fast", "balanced", "best"]
Presets = dict[PresetName, SamplerSpec]

# Points evenly spaced in gamma converge in about 50 steps where even times want hundreds.
UNTUNED: Presets = {
    "fast": Ddpm(steps=20, grid="gamma"),
    "balanced": Ddpm(steps=50, grid="gamma"),
    "best": Ddpm(steps=250, grid="gamma"),
}

_PRESETS: TypeAdapter[Presets] = TypeAdapter(Presets)


def presets(manifest: Manifest) -> Presets:
    """The checkpoint's own presets, and for those it lacks the untuned ones.

    Raises CheckpointError for a preset of another name, or one that no solver takes.
    """
    try:
        return UNTUNED | _PRESETS.validate_python(manifest.presets)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(f"{manifest.name}: presets.{where}: {first['msg']}") from error
