"""The architectures that a checkpoint may have. Torch-free."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Tag, TypeAdapter, ValidationError

from models.schema.diffusers_unet import DiffusersConfig
from models.schema.errors import CheckpointError
from models.schema.mulan import MulanConfig


def architecture_of(config: Any) -> str:
    """Return the tag of a configuration, or of the fields of one. Fields without a tag are those
    of a MULAN network, as all were before there was another."""
    if isinstance(config, Mapping):
        return str(config.get("architecture", "mulan"))
    return str(getattr(config, "architecture", ""))


AnyConfig = Annotated[
    Annotated[MulanConfig, Tag("mulan")] | Annotated[DiffusersConfig, Tag("diffusers-unet2d")],
    Discriminator(architecture_of),
]
ARCHITECTURES = "mulan", "diffusers-unet2d"


def require_mulan(config: AnyConfig, what: str) -> MulanConfig:
    """Return the configuration of a MULAN network.

    Raises CheckpointError, which says `what` is for such networks alone, for another's.
    """
    if not isinstance(config, MulanConfig):
        raise CheckpointError(
            f"{what} is for MULAN networks, and this one is {config.architecture}"
        )
    return config


_ANY: TypeAdapter[AnyConfig] = TypeAdapter(AnyConfig)


def parse_config(text: str | bytes) -> AnyConfig | None:
    """Return the configuration that JSON describes, or None if it describes none."""
    try:
        return _ANY.validate_json(text)
    except ValidationError:
        return None
