"""A recipe holds everything that determines a trained checkpoint, as data."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.schema.errors import DataError
from models.schema.manifest import DataPart, Name, first_fault
from models.schema.mulan import MulanConfig
from models.schema.preprocessing import PictureRule
from models.schema.regular import read_regular

RECIPE = "recipe.toml"
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

    source: str = Field(
        description="The images: a name (digits), an idx, .npy or .npz file or a folder of PNGs; "
        "with [preprocessing] a folder of photographs."
    )
    test_source: str | None = Field(None, description="Separate test images, for arrays.")
    licence: str = Field("", description="Licence of the images, for the record.")
    split_seed: Seed = Field(0, description="Seed of the division into parts.")
    split: dict[DataPart, Count] = Field(
        description="Number of images or photographs of each part: `train` is trained on, "
        "`density` is watched in training and shows the usual statistics, `calibration` gives the "
        "p-values, `test` is left for evaluations."
    )
    group: str = Field(
        "",
        max_length=500,
        description="For photographs: a regular expression. Photographs whose paths have the same "
        "match, or the same match of its first group, are never divided between parts.",
        exclude_if=lambda pattern: not pattern,
    )
    shift: int = Field(
        0,
        ge=0,
        le=64,
        description="For photographs: pixels of the scaled picture by which a tile may lie beyond "
        "its edges in training, where the edge's pixels are repeated.",
        exclude_if=lambda shift: not shift,
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if "train" not in self.split:
            raise ValueError("the split has no train part")
        if self.test_source is not None and "test" in self.split:
            raise ValueError("the split has a test part, and there is a test_source too")
        try:
            re.compile(self.group)
        except re.error as error:
            raise ValueError(f"group is no regular expression: {error}") from error
        return self


class Optimisation(_Settings):
    """Settings of the optimisation of the negative ELBO."""

    steps: Count = Field(description="Number of optimiser steps.")
    batch_size: int = Field(128, ge=2, description="Images, or tiles, of one step.")
    learning_rate: float = Field(2e-4, gt=0, description="The largest learning rate of AdamW.")
    schedule_rate: float = Field(
        1.0,
        gt=0,
        description="Factor of the learning rate for the weights of the noise schedule.",
        exclude_if=lambda factor: factor == 1.0,
    )
    schedule_start: Literal["random", "linear"] = Field(
        "random",
        description="The noise schedule that training begins with: that of random weights, which "
        "differs between pixels and latents, or one that is linear in t and the same for all.",
        exclude_if=lambda start: start == "random",
    )
    warmup_steps: int = Field(0, ge=0, description="Linear ramp of the learning rate.")
    decay: bool = Field(True, description="Cosine decay of the learning rate to zero.")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of AdamW.")
    clip_norm: float = Field(1.0, gt=0, description="Largest norm of a step's gradient.")
    ema: float = Field(
        0.999, ge=0, lt=1, description="Decay of the running average of the weights that is kept."
    )
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
    keep: Literal["last", "best"] = Field(
        "last",
        description="The averaged weights that the checkpoint gets: the last ones, or those of the "
        "evaluation with the fewest held-out bits/dim.",
        exclude_if=lambda keep: keep == "last",
    )
    seed: Seed = Field(0, description="Seed of the weights, the batches and all noise.")


class Recipe(_Settings):
    """The file that `mulan models train` follows."""

    name: Name = Field(description="Name of the checkpoint, by which requests call it.")
    data: DataSettings
    preprocessing: PictureRule | None = Field(None, exclude_if=lambda rule: rule is None)
    model: MulanConfig
    optimisation: Optimisation

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.preprocessing is not None:
            self.preprocessing.check(self.model)
            if self.data.test_source is not None:
                raise ValueError("test_source is for arrays; photographs are all in source")
        elif self.data.group or self.data.shift:
            raise ValueError("group and shift are for photographs, which need [preprocessing]")
        return self

    def record(self) -> dict[str, Any]:
        """Return what a manifest records: all fields but the places of the images."""
        return self.model_dump(mode="json", exclude={"data": {"source", "test_source"}})

    def prolongs(self, record: dict[str, Any]) -> bool:
        """Return whether this recipe differs from a recorded one at most in the number of steps."""
        return _without_steps(self.record()) == _without_steps(record)


def _without_steps(record: dict[str, Any]) -> dict[str, Any]:
    optimisation = record.get("optimisation", {})
    kept = {name: value for name, value in optimisation.items() if name != "steps"}
    return {**record, "optimisation": kept}


def read_recipe(name_or_path: str) -> Recipe:
    """Read a shipped recipe by name, a TOML file by path, or `recipe.toml` in a folder.

    Raises DataError.
    """
    shipped = RECIPES / f"{name_or_path}.toml"
    path = shipped if shipped.exists() else Path(name_or_path)
    if path.is_dir():
        path = path / RECIPE
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


def parse_data(settings: dict[str, Any], origin: str) -> DataSettings:
    """Return the section `data` of a recipe. Raises DataError, as `parse_recipe` does."""
    try:
        return DataSettings.model_validate(settings)
    except ValidationError as error:
        raise DataError(f"{origin}: {first_fault(error)}") from error


def override(recipe: Recipe, **sections: dict[str, Any]) -> Recipe:
    """Return the recipe with every given value, unless it is None, in place of its own."""
    merged = recipe.model_dump()
    for section, values in sections.items():
        merged[section] |= {name: value for name, value in values.items() if value is not None}
    return parse_recipe(merged, recipe.name)
