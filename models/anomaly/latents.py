"""The latent of an image, or its class, and the encoder's certainty about it."""

import math

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from models.schema.specs import FlowPath, Levels


def class_column(spec: FlowPath | Levels, like: Tensor) -> Tensor | None:
    """Return the class that `spec` names for every row of `like`, `[rows]` int64; None where it
    names none."""
    if spec.class_label is None:
        return None
    return torch.full((len(like),), spec.class_label, device=like.device)


def latent_mass(logits: Tensor, latent: Tensor) -> Tensor:
    """Return the log of the softmax's mass on the ones of `latent`, `[rows]`; 0 where there is no
    encoder.

    `logits` and `latent` are `[rows, n]`.
    """
    if not logits.shape[1]:
        return logits.double().sum(1)
    return log_softmax(logits.double(), dim=1).masked_fill(latent == 0, -math.inf).logsumexp(1)
