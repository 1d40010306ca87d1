"""The JSON files of a diffusers folder: which model it is, its network and its noise schedule.

Nothing in the folder is executed, and no class that a file names is imported.
"""

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from models.schema.config import Parameterisation
from models.schema.diffusers_unet import MOST_TIMESTEPS, Unet
from models.schema.errors import CheckpointError
from models.schema.manifest import first_fault
from models.schema.regular import read_regular

Settings = dict[str, Any]
PIPELINE, MODEL, SCHEDULER = "model_index.json", "config.json", "scheduler_config.json"
_MOST_BYTES = 1 << 20
# Schedulers that state the schedule of training in the same words; they differ in how they draw.
_SCHEDULERS = (
    *("DDPMScheduler", "DDIMScheduler", "DDPMParallelScheduler", "DDIMParallelScheduler"),
    *("PNDMScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"),
    *("UniPCMultistepScheduler", "DEISMultistepScheduler"),
)
PREDICTIONS: dict[str, Parameterisation] = {
    "epsilon": "epsilon",
    "v_prediction": "velocity",
    "sample": "sample",
}
_MOST_BETA = 0.999


class Found(NamedTuple):
    """The place of the network's settings and those of the schedule, and what they say."""

    model: Path
    network: Settings
    schedule: "NoiseSettings"


class NoiseSettings(BaseModel):
    """The settings of a scheduler that say how the network was trained, with the defaults of
    diffusers."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    num_train_timesteps: int = Field(1000, ge=2, le=MOST_TIMESTEPS)
    beta_start: float = Field(0.0001, gt=0, lt=1)
    beta_end: float = Field(0.02, gt=0, lt=1)
    beta_schedule: str = "linear"
    prediction_type: str = "epsilon"
    trained_betas: Any = None
    rescale_betas_zero_snr: bool = False

    def alphas_cumprod(self) -> Tensor:
        """Return the squares of alpha at each timestep, float32, by the arithmetic of diffusers'
        own schedulers, with which the network was trained."""
        steps, ends = self.num_train_timesteps, (self.beta_start, self.beta_end)
        if self.beta_schedule == "linear":
            betas = torch.linspace(*ends, steps, dtype=torch.float32)
        elif self.beta_schedule == "scaled_linear":
            first, last = (end**0.5 for end in ends)
            betas = torch.linspace(first, last, steps, dtype=torch.float32) ** 2
        else:
            kept = [_cosine(step / steps) for step in range(steps + 1)]
            falls = [1 - after / before for before, after in pairwise(kept)]
            betas = torch.tensor([min(fall, _MOST_BETA) for fall in falls], dtype=torch.float32)
        return torch.cumprod(1.0 - betas, dim=0)


def read_folder(folder: Path) -> Found:
    """Read the settings in a pipeline's or a model's folder. Raises CheckpointError."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder")
    if (folder / PIPELINE).exists():
        _check_pipeline(folder / PIPELINE)
    model = _first(folder, f"unet/{MODEL}", MODEL)
    schedule = _first(folder, f"scheduler/{SCHEDULER}", SCHEDULER, f"../scheduler/{SCHEDULER}")
    network, noise = _read(model), _read(schedule)
    _check_network(network, model)
    return Found(model, network, _noise(noise, schedule))


def image_shape(network: Settings, origin: Path) -> tuple[int, int, int]:
    """Return height, width and channels of the images. Raises CheckpointError."""
    size, channels = network.get("sample_size"), network.get("in_channels", 3)
    height, width = size if isinstance(size, list) and len(size) == 2 else (size, size)
    if type(height) is not int or type(width) is not int:
        raise CheckpointError(f"{origin}: sample_size is {size}, not one or two numbers of pixels")
    made = network.get("out_channels", 3)
    if type(channels) is not int or channels not in (1, 3):
        raise CheckpointError(
            f"{origin}: in_channels is {channels}; images have 1 channel or 3, and latent models "
            "are not supported"
        )
    if made == 2 * channels:
        raise CheckpointError(
            f"{origin}: out_channels is {made} for {channels} in_channels; networks that predict "
            "a variance too are not supported"
        )
    if made != channels:
        raise CheckpointError(f"{origin}: in_channels is {channels}, but out_channels is {made}")
    return height, width, channels


def unet_of(network: Settings, origin: Path) -> Unet:
    """Return the settings of the network. Raises CheckpointError, which names the setting."""
    elsewhere = {"sample_size", "in_channels", "out_channels", "num_train_timesteps"}
    elsewhere |= {"class_embed_type"}
    given = {
        name: value
        for name, value in network.items()
        if not name.startswith("_") and name not in elsewhere
    }
    try:
        return Unet.model_validate(given)
    except ValidationError as error:
        raise CheckpointError(f"{origin}: {first_fault(error)}") from error


def _check_pipeline(path: Path) -> None:
    parts = {
        name: part[1]
        for name, part in _read(path).items()
        if isinstance(part, list) and len(part) == 2 and part[1] is not None
    }
    for name, kind in parts.items():
        if "vae" in name or "vqmodel" in name:
            raise CheckpointError(
                f"{path}: it has {name} ({kind}); latent models are not supported"
            )
        if name not in ("unet", "scheduler"):
            raise CheckpointError(
                f"{path}: it has {name} ({kind}); only models of a unet and a "
                "scheduler are supported"
            )


def _check_network(network: Settings, origin: Path) -> None:
    kind = network.get("_class_name", "UNet2DModel")
    if kind != "UNet2DModel":
        raise CheckpointError(f"{origin}: it is a {kind}; UNet2DModel alone is supported")
    if network.get("class_embed_type") is not None:
        raise CheckpointError(
            f"{origin}: class_embed_type is {network['class_embed_type']}; of models with classes "
            "those with a table of num_class_embeds classes are supported, whose type is null"
        )


def _noise(given: Settings, origin: Path) -> NoiseSettings:
    kind = given.get("_class_name")
    if kind not in _SCHEDULERS:
        raise CheckpointError(
            f"{origin}: the scheduler {kind} is not supported; those that are: "
            f"{', '.join(_SCHEDULERS)}"
        )
    try:
        found = NoiseSettings.model_validate(given)
    except ValidationError as error:
        raise CheckpointError(f"{origin}: {first_fault(error)}") from error
    schedules = "linear", "scaled_linear", "squaredcos_cap_v2"
    for name, value, known in (
        ("beta_schedule", found.beta_schedule, schedules),
        ("prediction_type", found.prediction_type, tuple(PREDICTIONS)),
    ):
        if value not in known:
            raise CheckpointError(f"{origin}: {name} is {value!r}, not {' or '.join(known)}")
    if found.trained_betas is not None:
        raise CheckpointError(f"{origin}: trained_betas are not supported")
    if found.rescale_betas_zero_snr:
        raise CheckpointError(
            f"{origin}: rescale_betas_zero_snr leaves no signal at the last timestep, where gamma "
            "would be infinite; such models are not supported"
        )
    return found


def _cosine(time: float) -> float:
    """Return the square of alpha at a `time` in [0, 1], before betas are capped (Nichol &
    Dhariwal, 2021)."""
    return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2


def _first(folder: Path, *names: str) -> Path:
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise CheckpointError(f"{folder}: there is no {names[0]} and no {names[1]}")


def _read(path: Path) -> Settings:
    try:
        settings = json.loads(read_regular(path, _MOST_BYTES))
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"{path}: expected an object of settings")
    return settings
