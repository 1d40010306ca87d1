"""A recipe holds everything that determines a trained checkpoint, as data."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.schema.config import ModelConfig
from models.schema.errors import DataError
from models.schema.manifest import DataPart, Name, first_fault
from models.schema.regular import read_regular

RECIPES = Path(__file__).parent / "recipes"
_MOST_BYTES = 1 << 20
Count = Annotated[int, Field(ge=1)]
# torch reads 32 bits of a seed on the CPU.
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataSettings(_Settings):
    """The source of the images and the number of images in each part.

    All images of `test_source` are test images; without it the test part comes from the division.
    """

    source: str
    test_source: str | None = None
    licence: str = ""
    split_seed: Seed = 0
    split: dict[DataPart, Count]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if "train" not in self.split:
            raise ValueError("the split has no train part")
        if self.test_source is not None and "test" in self.split:
            raise ValueError("the split has a test part, and there is a test_source too")
        return self


class Optimisation(_Settings):
    """Settings of the optimisation of the negative ELBO."""

    steps: Count
    batch_size: Annotated[int, Field(ge=2)] = 128
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    warmup_steps: int = Field(0, ge=0, description="Linear ramp of the learning rate.")
    decay: bool = Field(True, description="Cosine decay of the learning rate to zero.")
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    ema: float = Field(0.999, ge=0, lt=1)
    latent_noise: Literal["sum-of-gamma", "official"] = Field(
        "sum-of-gamma",
        description="Noise on the encoder's logits: as published, or as in the released code.",
    )
    information_price: float = Field(
        1.0,
        description="Weight of the information, in nats, that z carries about its image. With 1 it "
        "is the paper's.",
    )
    aggregate_price: float = Field(
        1.0,
        ge=0,
        description="Weight of the KL, in nats, from the mean of q(z|x) over a batch to the prior. "
        "With 1 it is the paper's.",
    )
    encoder_head_start: int = Field(
        0,
        ge=0,
        description="Number of first steps in which the encoder gets no gradient of the diffusion "
        "term.",
    )
    coarse_weight: float = Field(
        0.0,
        ge=0,
        description="Additional weight of the diffusion term at high noise, beyond its weight of 1 "
        "in the bound, for samples whose parts fit together (Kingma & Gao, 2023).",
    )
    noisy_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of a batch's times drawn from the noisier half alone; the loss is "
        "weighted so that its mean does not change.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Precision of the network's matrix products in training."
    )
    held_out_every: Count = Field(
        500, description="Steps between evaluations of the held-out images, and between saves."
    )
    seed: Seed = 0


class Recipe(_Settings):
    """The file that `mulan models train` follows."""

    name: Name
    data: DataSettings
    model: ModelConfig
    optimisation: Optimisation

    def record(self) -> dict[str, Any]:
        """Return what a manifest records: all fields but the places of the images."""
        return self.model_dump(mode="json", exclude={"data": {"source", "test_source"}})


def read_recipe(name_or_path: str) -> Recipe:
    """Read a shipped recipe by name, or a TOML file by path. Raises DataError."""
    shipped = RECIPES / f"{name_or_path}.toml"
    path = shipped if shipped.exists() else Path(name_or_path)
    try:
        settings = tomllib.loads(read_regular(path, _MOST_BYTES).decode())
    except FileNotFoundError as error:
        names = ", ".join(sorted(file.stem for file in RECIPES.glob("*.toml")))
        raise DataError(f"no recipe {name_or_path}; available: {names}") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    return parse_recipe(settings, str(path))


def parse_recipe(settings: dict[str, Any], origin: str) -> Recipe:
    """Return the recipe that `settings` describe.

    Raises DataError, which names `origin` and the field at fault.
    """
    try:
        return Recipe.model_validate(settings)
    except ValidationError as error:
        raise DataError(f"{origin}: {first_fault(error)}") from error


def override(recipe: Recipe, **sections: dict[str, Any]) -> Recipe:
    """Return the recipe with every given value, unless it is None, in place of its own."""
    merged = recipe.model_dump()
    for section, values in sections.items():
        merged[section] |= {name: value for name, value in values.items() if value is not None}
    return parse_recipe(merged, recipe.name)
