"""The vector that conditions a row: its k-hot latent, or its class, one-hot."""

import torch
from torch import Tensor

from models.network.encoder import top_k
from models.rows.noise import Stream, uniform
from models.rows.rows import NoiseKey
from models.schema.config import ModelConfig
from models.schema.errors import EvaluationError


def drawn(config: ModelConfig, key: NoiseKey) -> Tensor:
    """Return a latent from the prior for each row `[rows, n]`, or a class, each as likely."""
    chances = uniform(key, Stream.LATENT, 0, (config.condition_size,))
    return top_k(chances, config.condition_ones).float()


def one_hot(classes: Tensor, count: int) -> Tensor:
    """Return `classes` `[rows]`, int64, of so many as vectors `[rows, count]`, float32."""
    return (classes[:, None] == torch.arange(count, device=classes.device)).float()


def chosen(config: ModelConfig, logits: Tensor, classes: Tensor | None) -> Tensor:
    """Return the `classes` `[rows]` of images one-hot or, for a model without classes, the latents
    of the k largest of the encoder's `logits` `[rows, n]`.

    Raises EvaluationError where classes are named for a model without any, or none for one with
    some.
    """
    if classes is None and config.classes:
        raise EvaluationError(f"the model has {config.classes} classes: name that of each image")
    if classes is not None and not config.classes:
        raise EvaluationError("the model has no classes: name none")
    return top_k(logits, config.latent_k) if classes is None else one_hot(classes, config.classes)
