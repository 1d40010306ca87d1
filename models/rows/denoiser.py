"""The one thing a solver's questions are put to."""

from typing import Protocol

from torch import Tensor

from models.rows.rows import Answer, Condition, Query
from models.schema.config import ModelConfig


class Denoiser(Protocol):
    """A trained model, or a closed form, behind the same three calls.

    Parameterisation, precision, padding and runtime are hidden here. All tensors are on one
    device; every result depends only on its own row.
    """

    config: ModelConfig

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        """Predicted noise at each row's (x, t), and the query's cotangents pulled back."""
        ...

    def encode(self, x: Tensor) -> Tensor:
        """Logits `[rows, n]` of clean images `x` `[rows, C, H, W]`, pixel values in (-1, 1)."""
        ...

    def condition(self, latent: Tensor) -> Condition:
        """Schedule and network time of k-hot latents `[rows, n]`; once in a row's life."""
        ...
