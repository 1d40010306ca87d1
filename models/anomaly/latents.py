"""The encoder's certainty about an image's latent."""

import math

from torch import Tensor
from torch.nn.functional import log_softmax


def latent_mass(logits: Tensor, latent: Tensor) -> Tensor:
    """Return the log of the softmax's mass on the ones of `latent`, `[rows]`; 0 without a latent.

    `logits` and `latent` are `[rows, n]`.
    """
    if not logits.shape[1]:
        return logits.double().sum(1)
    return log_softmax(logits.double(), dim=1).masked_fill(latent == 0, -math.inf).logsumexp(1)
