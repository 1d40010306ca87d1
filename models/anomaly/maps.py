"""Measurements at each pixel of an image, from its tokens and from a reading. NumPy alone."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.anomaly.blur import blur
from models.anomaly.covariates import brightness, covariates
from models.anomaly.subspace import Subspace
from models.files.pictures import Bytes

Maps = NDArray[np.float64]
# Standard deviations of the smoothing, in pixels.
FINE, MIDDLE, COARSE, WIDE = 0.7, 1.0, 1.5, 3.0
# Added to energies before their logarithm: an error of a third of a level, and eps of a thousandth.
FAINT_ERROR, FAINT_EPS = 1e-6, 1e-6


class Seen(NamedTuple):
    """Images `[N, H, W, C]` with their levels `[N, L, H, W, C]`, the network's eps on each."""

    images: Bytes
    levels: Maps


def error_maps(seen: Seen, subspace: Subspace, vocabulary: int) -> Maps:
    """Return log energies `[N, L + 1, H, W]`: of eps at each level, and of what lies outside the
    subspace, smoothed over the size of a small defect."""
    levels = _energy(seen.levels, MIDDLE, FAINT_EPS)
    outside = subspace.residual(brightness(seen.images, vocabulary))
    return np.concatenate([levels, _energy(outside[:, None], COARSE, FAINT_ERROR)], axis=1)


def features(seen: Seen, subspace: Subspace, vocabulary: int) -> Maps:
    """Return what a perceptron sees of each pixel, `[N, H, W, F]`.

    Of the image: its covariates, its grey, differences of smoothed greys, the energy of the finest
    detail; of what lies outside the subspace: the grey, smoothed, and the energy; of each level:
    eps and its energy. Signs are kept, since a defect is often darker or often brighter.
    """
    values = brightness(seen.images, vocabulary)
    outside = subspace.residual(values)
    grey, strange, eps = (part.mean(-1) for part in (values, outside, seen.levels))
    height, width = grey.shape[1:]
    fine, middle, coarse, wide = (blur(grey, width) for width in (FINE, MIDDLE, COARSE, WIDE))
    known = covariates(seen.images, vocabulary).T[..., None, None]
    columns = [
        *np.broadcast_to(known, (*known.shape[:2], height, width)),
        *(grey, middle - wide, fine - coarse),
        _energy((grey - middle)[..., None], COARSE, FAINT_ERROR),
        *(blur(strange, width) for width in (0, FINE, COARSE)),
        *(_energy(outside, width, FAINT_ERROR) for width in (FINE, COARSE, WIDE)),
        *np.moveaxis(blur(eps, FINE), 1, 0),
        *np.moveaxis(_energy(seen.levels, MIDDLE, FAINT_EPS), 1, 0),
    ]
    return np.stack(columns, axis=-1)


def _energy(values: Maps, width: float, faint: float) -> Maps:
    """Return the log of the smoothed mean square over channels of `values` `[..., H, W, C]`."""
    energy: Maps = np.log(blur(np.square(values).mean(-1), width) + faint)
    return energy
