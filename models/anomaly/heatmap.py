"""Maps of where an image is strange, as pictures and as arrays. Torch-free."""

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.files.pictures import encode_png
from models.preprocessing.stitching import enlarge
from models.schema.preprocessing import Size

LEVELS = 256


class Heatmap(NamedTuple):
    """Values `[H, W]`, and those that are drawn black and white."""

    values: NDArray[np.float64]
    black: float
    white: float

    @property
    def shares(self) -> NDArray[np.float64]:
        """The values `[H, W]` as shares of the way from black to white, within 0 and 1."""
        span = max(self.white - self.black, np.finfo(np.float64).tiny)
        return ((self.values - self.black) / span).clip(0, 1)

    def enlarged(self, size: Size) -> "Heatmap":
        """Return the map resized to a picture's own size, bilinearly."""
        if self.values.shape == size:
            return self
        values = enlarge(self.values.astype(np.float32), size).astype(np.float64)
        return self._replace(values=values)

    def png(self) -> bytes:
        """Draw the values as a grey PNG."""
        levels = np.rint((LEVELS - 1) * self.shares[..., None])
        return encode_png(levels.astype(np.uint8), LEVELS)

    def npy(self) -> bytes:
        """Return the values as float32 in NumPy's file format."""
        file = io.BytesIO()
        np.save(file, self.values.astype(np.float32))
        return file.getvalue()


def own_scale(contribution: NDArray[np.float32]) -> Heatmap:
    """Return `contribution` `[H, W, C]` summed over channels.

    Black is no contribution to the bound, white the largest.
    """
    total = contribution.astype(np.float64).sum(axis=-1)
    return Heatmap(total, 0.0, float(total.max()))
