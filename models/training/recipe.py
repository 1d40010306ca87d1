"""A recipe: everything that determines a trained checkpoint, as data."""

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
    """Where the images come from, and how many go to each part.

    Test images come from `test_source`, whole, or else from the division.
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
    """How the negative ELBO is minimised."""

    steps: Count
    batch_size: Annotated[int, Field(ge=2)] = 128
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    warmup_steps: int = Field(0, ge=0, description="Linear ramp of the learning rate.")
    decay: bool = Field(True, description="Cosine decay of the learning rate to zero.")
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    ema: float = Field(0.999, ge=0, lt=1)
    latent_noise: Literal["sum-of-gamma", "official"] = Field(
        "sum-of-gamma", description="What perturbs the logits: as published, or as released."
    )
    information_price: float = Field(
        1.0, description="Price of a nat that z tells about its image; 1 is the paper's."
    )
    aggregate_price: float = Field(
        1.0,
        ge=0,
        description="Price of a nat by which z, over a batch, leaves its prior; 1 is the paper's.",
    )
    encoder_head_start: int = Field(
        0, ge=0, description="First steps, in which the diffusion term does not reach the encoder."
    )
    coarse_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of the diffusion term's part at high noise, beyond its weight of 1 in "
        "the bound: for samples that hold together (Kingma & Gao, 2023).",
    )
    noisy_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of a batch's times drawn from the noisier half alone; the loss is "
        "weighted so that its mean stays what it was.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Of the products in the network while training."
    )
    held_out_every: Count = Field(
        500, description="Steps from one look at the held-out images, and one save, to the next."
    )
    seed: Seed = 0


class Recipe(_Settings):
    """The file that `mulan models train` follows."""

    name: Name
    data: DataSettings
    model: ModelConfig
    optimisation: Optimisation

    def record(self) -> dict[str, Any]:
        """What a manifest keeps: all but where the images lie."""
        return self.model_dump(mode="json", exclude={"data": {"source", "test_source"}})


def read_recipe(name_or_path: str) -> Recipe:
    """A shipped recipe by name, or a TOML file by path. Raises DataError."""
    shipped = RECIPES / f"{name_or_path}.toml"
    path = shipped if shipped.exists() else Path(name_or_path)
    try:
        settings = tomllib.loads(read_regular(path, _MOST_BYTES).decode())
    except FileNotFoundError as error:
        names = ", ".join(sorted(file.stem for file in RECIPES.glob("*.toml")))
        raise DataError(f"no recipe {name_or_path}; shipped are: {names}") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    return parse_recipe(settings, str(path))


def parse_recipe(settings: dict[str, Any], origin: str) -> Recipe:
    """The recipe that `settings` describe. Raises DataError, which names `origin` and the field."""
    try:
        return Recipe.model_validate(settings)
    except ValidationError as error:
        raise DataError(f"{origin}: {first_fault(error)}") from error


def override(recipe: Recipe, **sections: dict[str, Any]) -> Recipe:
    """The recipe with every value that is given, and is not None, in place of its own."""
    merged = recipe.model_dump()
    for section, values in sections.items():
        merged[section] |= {name: value for name, value in values.items() if value is not None}
    return parse_recipe(merged, recipe.name)
