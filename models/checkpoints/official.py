"""The official implementation's configurations, by name and in its own words.

A configuration says what a checkpoint's shapes cannot; what it also says of the shapes is checked.
"""

import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from models.schema.config import ModelConfig
from models.schema.errors import CheckpointError
from models.schema.manifest import first_fault
from models.schema.regular import read_regular

Settings = dict[str, Any]
# The official code's, where its configuration leaves it out.
OFFICIAL_K = 15
_MOST_BYTES = 1 << 20

# Sahoo et al. (2024), appendix on experiments.
NAMED: dict[str, Settings] = {
    "cifar10": {"parameterisation": "velocity", "latent_k": 15, "width": 128, "depth": 32},
    "imagenet32": {"parameterisation": "epsilon", "latent_k": 15, "width": 256},
    "imagenet32-velocity": {
        "parameterisation": "velocity-from-epsilon",
        "latent_k": 15,
        "width": 256,
    },
}
_WORDS = {
    "sm_n_embd": "width",
    "sm_n_layer": "depth",
    "forward_n_layer": "encoder_depth",
    "with_attention": "attention",
    "sm_pdrop": "dropout",
    "latent_size": "latent_size",
    "latent_k": "latent_k",
    "gamma_min": "gamma_min",
    "gamma_max": "gamma_max",
    "vocab_size": "vocabulary",
}
# What this implementation is, where the official code has a choice.
_ONLY = {
    "gamma_type": "poly_fixedend",
    "unet_type": "vdm",
    "encoder": "unet",
    "latent_type": "topk",
    "reparam_type": "true",
    "z_conditioning": True,
    "condition": "input",
    "sm_n_timesteps": 0,
}
_FLAGS = ("velocity_from_epsilon", "with_fourier_features", "with_attention")
# No shape shows these, and a wrong guess would serve a wrong density without a sign.
_MUST_SAY = ("parameterisation", "latent_k")


def read_settings(name_or_path: str) -> Settings:
    """Fields of ModelConfig, from a shipped name or a file.

    A file is JSON or TOML, with these fields or with the official ones: `sm_n_embd` and the others,
    either at the top, with `vdm_type` beside them, or under `model_config`. Raises CheckpointError.
    """
    if name_or_path in NAMED:
        return NAMED[name_or_path]
    path = Path(name_or_path)
    try:
        text = read_regular(path, _MOST_BYTES).decode()
        read = tomllib.loads if path.suffix == ".toml" else json.loads
        settings = read(text)
    except FileNotFoundError as error:
        names = ", ".join(NAMED)
        raise CheckpointError(f"no configuration {name_or_path}; there are: {names}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"{path}: no table of settings")
    return _translated(settings, str(path))


def complete(settings: Settings, found: Settings, origin: str) -> ModelConfig:
    """The configuration from what is said and what the shapes show.

    Raises CheckpointError where they contradict each other, or too little is said.
    """
    for field in _MUST_SAY:
        if field not in settings:
            raise CheckpointError(f"{origin}: the configuration must say {field}")
    for field, value in found.items():
        if settings.get(field, value) != value:
            raise CheckpointError(
                f"{origin}: {field} is {value} by its shapes, the configuration says "
                f"{settings[field]}"
            )
    try:
        return ModelConfig.model_validate(settings | found)
    except ValidationError as error:
        raise CheckpointError(f"{origin}: configuration: {first_fault(error)}") from error


def _translated(settings: Settings, origin: str) -> Settings:
    official = settings.get("model_config", settings)
    if not isinstance(official, dict) or not official.keys() & {"sm_n_embd", "vdm_type"}:
        return settings
    for field, value in _ONLY.items():
        if official.get(field, value) != value:
            raise CheckpointError(f"{origin}: {field} {official[field]!r} is not supported")
    for field in _FLAGS:
        if not isinstance(official.get(field, False), bool):
            raise CheckpointError(f"{origin}: {field} should be true or false")
    found: Settings = {"latent_k": OFFICIAL_K}
    found |= {ours: official[word] for word, ours in _WORDS.items() if word in official}
    found["fourier"] = (6, 7) if official.get("with_fourier_features", True) else ()
    found["parameterisation"] = _parameterisation(settings | official, origin)
    return found


def _parameterisation(settings: Settings, origin: str) -> str:
    """The official code keeps it beside the rest; left out, it is a velocity network's."""
    kind = settings.get("vdm_type", "mulan_velocity")
    if kind == "mulan_epsilon":
        return "epsilon"
    if kind != "mulan_velocity":
        raise CheckpointError(f"{origin}: vdm_type {kind!r} is not supported")
    return "velocity-from-epsilon" if settings.get("velocity_from_epsilon") else "velocity"
