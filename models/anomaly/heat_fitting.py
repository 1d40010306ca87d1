"""Fitting of heat maps, which the commands need and the service does not."""

from typing import NamedTuple

import numpy as np

from models.anomaly.covariates import Regression, around
from models.anomaly.heat import Heat, expected
from models.anomaly.maps import Maps, Seen, error_maps
from models.anomaly.packed import Packed
from models.anomaly.power import auroc
from models.anomaly.subspace import Subspace
from models.anomaly.teaching import Mask, draw_pixels, weigh
from models.files.pictures import Bytes

# Standard deviations of a pixel's surroundings that are tried, in pixels; None is the whole image.
REACHES = (None, 3.0)
# Pixels from which the regression on the surroundings is fitted, at most.
USUAL_PIXELS = 200_000


class Measured(NamedTuple):
    """Images `[N, H, W, C]` with their error maps `[N, maps, H, W]`."""

    images: Bytes
    errors: Maps


def fit_heat(
    good: Seen, damaged: Seen, masks: Mask, subspace: Subspace, vocabulary: int, seed: int
) -> Heat:
    """Fit what pixels of `good` images have, and the weights by which pixels of `damaged` images
    under their `masks` are told from others.

    Of the surroundings in `REACHES` those are kept with which the heat separates the pixels of
    defects from all others best, by its AUROC.
    """
    usual, strange = (
        Measured(one.images, error_maps(one, subspace, vocabulary)) for one in (good, damaged)
    )
    found = [_fit(usual, strange, masks, vocabulary, reach, seed) for reach in REACHES]
    return max(found, key=lambda heat: _separation(heat, usual, strange, masks, vocabulary))


def _fit(
    good: Measured, damaged: Measured, masks: Mask, vocabulary: int, reach: float | None, seed: int
) -> Heat:
    dice = np.random.Generator(np.random.PCG64(seed))
    known = around(good.images, vocabulary, reach)
    errors = np.moveaxis(good.errors, 1, -1)
    if reach is None:
        errors = errors.mean((1, 2))
    known, errors = (part.reshape(-1, part.shape[-1]) for part in (known, errors))
    some = dice.choice(len(known), min(len(known), USUAL_PIXELS), replace=False)
    usual = Regression.fit(known[some], errors[some])
    left = good.errors - expected(usual, good.images, vocabulary, reach)
    variance = left.var(0)
    # Half of a pixel's own variance and half of the image's mean, since good images may be few.
    spread = np.sqrt((variance + variance.mean((1, 2), keepdims=True)) / 2 + 1e-12)
    even = Heat(
        reach=reach,
        usual=usual,
        mean=Packed.of(left.mean(0)),
        spread=Packed.of(spread),
        weights=(1.0,) * good.errors.shape[1],
    )
    standard = [
        np.moveaxis(even.standardised(one.errors, one.images, vocabulary), 1, -1)
        for one in (good, damaged)
    ]
    pixels = draw_pixels(standard[0], standard[1], masks, seed)
    weights = weigh(pixels.defective, pixels.good)
    if not weights.any():
        weights = np.ones(len(weights))
    return even.model_copy(update={"weights": tuple(weights.tolist())})


def _separation(
    heat: Heat, good: Measured, damaged: Measured, masks: Mask, vocabulary: int
) -> float:
    """Return the chance that a pixel of a defect is hotter than another of any image."""
    usual, strange = (heat(one.errors, one.images, vocabulary) for one in (good, damaged))
    return auroc(np.concatenate([usual.ravel(), strange[~masks]]), strange[masks])
