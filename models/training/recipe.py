"""A recipe: everything that determines a trained checkpoint, as data."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.config import ModelConfig
from models.errors import DataError
from models.manifest import Part

RECIPES = Path(__file__).parent / "recipes"
Count = Annotated[int, Field(ge=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSettings(_Settings):
    """Where the images come from, and how many go to each part."""

    source: str
    test_source: str | None = None
    licence: str = ""
    split_seed: int = 0
    split: dict[Part, Count]


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
    latent_term: Literal["categorical", "aggregate"] = Field(
        "categorical",
        description="What z costs in training: the paper's KL; or only the KL of the average "
        "posterior, since the served bound pays log C(n, k) however much z says.",
    )
    held_out_every: Annotated[int, Field(ge=1)] = 500
    seed: int = 0


class Recipe(_Settings):
    """The file that `mulan models train` follows."""

    name: str
    data: DataSettings
    model: ModelConfig
    optimisation: Optimisation


def read_recipe(name_or_path: str) -> Recipe:
    """A shipped recipe by name, or a TOML file by path. Raises DataError."""
    shipped = RECIPES / f"{name_or_path}.toml"
    path = shipped if shipped.exists() else Path(name_or_path)
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        names = ", ".join(sorted(file.stem for file in RECIPES.glob("*.toml")))
        raise DataError(f"no recipe {name_or_path}; shipped are: {names}") from error
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise DataError(f"{path}: {error}") from error
