"""The interface that answers a solver's queries."""

from typing import Protocol

from torch import Tensor

from models.rows.rows import Answer, Condition, Query
from models.schema.config import ModelConfig


class Denoiser(Protocol):
    """A trained model, or a closed form, behind three calls.

    Parameterisation, precision, padding and runtime are hidden here. All tensors are on one device;
    every result depends only on its own row. An evaluation costs as much as the next multiple of
    `quantum` rows.
    """

    config: ModelConfig
    quantum: int

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        """Return the predicted noise at each row's (x, t), and the query's cotangents pulled
        back."""
        ...

    def encode(self, x: Tensor) -> Tensor:
        """Return logits `[rows, n]` of clean images `x` `[rows, C, H, W]`, pixel values in (-1,
        1)."""
        ...

    def condition(self, latent: Tensor) -> Condition:
        """Return schedule and network time of k-hot latents `[rows, n]`, or of classes, one-hot,
        computed once for each row."""
        ...
