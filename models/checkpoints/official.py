"""Configurations of the official implementation, by name and under its own setting names.

A configuration has to state what the shapes of a checkpoint do not show; the rest is checked
against the shapes.
"""

import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from models.schema.errors import CheckpointError
from models.schema.manifest import first_fault
from models.schema.mulan import MulanConfig
from models.schema.regular import read_regular

Settings = dict[str, Any]
# The official code's default.
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
# Settings of the official code that this project supports at one value alone.
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
# Fields of MulanConfig that the official code has no setting for, with its values
# (ldm/ldm_unet.py, ldm/model_vdm.py). Most of them change no tensor's shape: with other values the
# official code would run the weights as another density without a sign.
_OFFICIAL_VALUES: dict[str, tuple[Any, ...]] = {
    "pixel_map": ("centres",),
    "parameterisation": ("velocity", "epsilon", "velocity-from-epsilon"),
    "fourier": ((6, 7), ()),
    "fourier_fade": (False,),
    "time_scale": (1000.0,),
    "residual": (True,),
    "groups": (32,),
    "patch": (1,),
    "coarse_width": (0,),
}
_FLAGS = ("velocity_from_epsilon", "with_fourier_features", "with_attention")
# Shapes do not show these, and a wrong guess would serve a wrong density without a sign.
_MUST_SAY = ("parameterisation", "latent_k")


def read_settings(name_or_path: str) -> Settings:
    """Read fields of MulanConfig from a shipped name or a file.

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
        raise CheckpointError(f"no configuration {name_or_path}; available: {names}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"{path}: expected a table of settings")
    return _translated(settings, str(path))


def complete(settings: Settings, found: Settings, origin: str) -> MulanConfig:
    """Make the configuration of the stated settings and of those that the shapes show.

    Raises CheckpointError where the two contradict each other or a required setting is missing.
    """
    for field in _MUST_SAY:
        if field not in settings:
            raise CheckpointError(f"{origin}: the configuration must set {field}")
    for field, value in found.items():
        if settings.get(field, value) != value:
            raise CheckpointError(
                f"{origin}: {field} is {value} by its shapes, the configuration says "
                f"{settings[field]}"
            )
    try:
        return MulanConfig.model_validate(settings | found)
    except ValidationError as error:
        raise CheckpointError(f"{origin}: configuration: {first_fault(error)}") from error


def require_official(config: MulanConfig, name: str) -> None:
    """Raise CheckpointError unless the official code can express the networks of `config`.

    The text names the checkpoint `name`, every field at fault and its official values. The image's
    side and channels and `schedule_width` may differ: these are constants of the official code,
    which fails by itself on tensors of other shapes.
    """
    height, width, _ = config.image_shape
    faults = [
        f"{field} is {_shown(getattr(config, field))}, not {' or '.join(map(_shown, values))}"
        for field, values in _OFFICIAL_VALUES.items()
        if getattr(config, field) not in values
    ]
    if not config.encodes:
        faults.append(f"latent_size is {config.latent_size}, not above 1")
    if height != width:
        faults.append(f"image_shape is {_shown(config.image_shape)}, not square")
    if faults:
        raise CheckpointError(
            f"{name} is not a network that the official code can run: {'; '.join(faults)}"
        )


def _shown(value: Any) -> str:
    return json.dumps(value)


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
    """Read what the network predicts, which the official code keeps beside the model's settings.

    The default is a velocity.
    """
    kind = settings.get("vdm_type", "mulan_velocity")
    if kind == "mulan_epsilon":
        return "epsilon"
    if kind != "mulan_velocity":
        raise CheckpointError(f"{origin}: vdm_type {kind!r} is not supported")
    return "velocity-from-epsilon" if settings.get("velocity_from_epsilon") else "velocity"
