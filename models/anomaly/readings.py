"""What one solve tells of one image. Torch-free."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from models.schema.arrays import RawArray

Contribution = Annotated[NDArray[np.float32], RawArray("<f4", axes=3)]


@dataclass(frozen=True, slots=True)
class Reading:
    """Evaluations, and the statistics by name, or the reason why there are none.

    `contribution` `[H, W, C]` is what each pixel adds to the diffusion part of the negative ELBO,
    in nats; float32.
    """

    nfe: int
    values: dict[str, float] | None = None
    contribution: Contribution | None = None
    reason: str | None = None
