"""The reading of one image: what one ODE solve yields. Torch-free."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models.schema.arrays import RawArray

Contribution = Annotated[NDArray[np.float32], RawArray("<f4", axes=3)]
LevelMaps = Annotated[NDArray[np.float16], RawArray("<f2", axes=4)]
# Left out of the bytes of readings by the path, which older APIs read strictly.
_Levels = Annotated[LevelMaps | None, Field(exclude_if=lambda levels: levels is None)]


@dataclass(frozen=True, slots=True)
class Reading:
    """The number of evaluations, and the statistics by name or the reason why there are none.

    `contribution` `[H, W, C]`, float32, is what each pixel adds to the diffusion part of the
    negative ELBO, in nats. `levels` `[L, H, W, C]`, float16, is the noise that the network predicts
    in the image itself at each of L noise levels. A solve yields one or the other.
    """

    nfe: int
    values: dict[str, float] | None = None
    contribution: Contribution | None = None
    reason: str | None = None
    levels: _Levels = None
