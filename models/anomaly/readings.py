"""The reading of one image: what one ODE solve yields. Torch-free."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Reading:
    """The number of evaluations, and the statistics by name or the reason why there are none.

    `contribution` `[H, W, C]`, float32, is what each pixel adds to the diffusion part of the
    negative ELBO, in nats.
    """

    nfe: int
    values: dict[str, float] | None = None
    contribution: NDArray[np.float32] | None = None
    reason: str | None = None
