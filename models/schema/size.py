"""The number of parameters of a network, computed from its configuration alone. Torch-free.

The functions mirror the layers in `models/network`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.schema.mulan import MulanConfig


def parameter_count(config: "MulanConfig") -> int:
    """Number of parameters of encoder, schedule and score network together."""
    encoder = _encoder(config) if config.encodes else 0
    schedule = _schedule(config) if config.latent_size else 0
    return encoder + schedule + _score(config)


def _score(config: "MulanConfig") -> int:
    width, channels = config.width, config.image_shape[2]
    return (
        _trunk(config, config.depth, config.latent_size)
        + (_coarse(config) if config.coarse_width else 0)
        + (config.depth + 1) * _block(2 * width, width, config.attention)
        + _norm(width)
        + _conv(width, channels * config.patch**2, 3)
    )


def _encoder(config: "MulanConfig") -> int:
    trunk = _trunk(config, config.encoder_depth, 1)
    head = _norm(config.width) + _conv(config.width, 1, 3)
    return trunk + head + _linear(config.positions, config.latent_size)


def _schedule(config: "MulanConfig") -> int:
    dimensions = config.dimensions
    width = config.schedule_width or dimensions
    inner = _linear(config.latent_size, width) + _linear(width, width)
    return inner + 3 * _linear(width, dimensions)


def _trunk(config: "MulanConfig", depth: int, conditions: int) -> int:
    width = config.width
    inputs = config.image_shape[2] * (1 + 2 * len(config.fourier)) * config.patch**2
    return (
        _linear(width + conditions, 4 * width)
        + _linear(4 * width, 4 * width)
        + _conv(inputs, width, 3)
        + depth * _block(width, width, config.attention)
        + _middle(width)
    )


def _coarse(config: "MulanConfig") -> int:
    outer, width = 4 * config.width, config.coarse_width
    return (
        _linear(outer, 4 * width)
        + _conv(outer, width, 1)
        + config.depth * _block(width, width, config.attention)
        + _middle(width)
        + (config.depth + 1) * _block(2 * width, width, config.attention)
        + _norm(width)
        + _conv(width, outer, 1)
    )


def _middle(width: int) -> int:
    return 2 * _residual(width, width) + _attention(width)


def _block(inputs: int, width: int, attention: bool) -> int:
    return _residual(inputs, width) + (_attention(width) if attention else 0)


def _residual(inputs: int, width: int) -> int:
    condition = 4 * width * width
    shortcut = 0 if inputs == width else _conv(inputs, width, 1)
    norms = _norm(inputs) + _norm(width)
    return norms + _conv(inputs, width, 3) + condition + _conv(width, width, 3) + shortcut


def _attention(width: int) -> int:
    return _norm(width) + 4 * _linear(width, width)


def _norm(channels: int) -> int:
    return 2 * channels


def _linear(inputs: int, outputs: int) -> int:
    return (inputs + 1) * outputs


def _conv(inputs: int, outputs: int, side: int) -> int:
    return (inputs * side**2 + 1) * outputs
