"""Synthetic defects on good images, for the check of a calibration's power. They need NumPy alone.

They are of the kinds that published detectors train on: a piece of another image pasted in (Li et
al., CutPaste, CVPR 2021), and drawn scratches, blobs, patches of noise, of blur, and missing parts
(in the manner of DRAEM; Zavrtanik et al., ICCV 2021).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.anomaly.blur import blur
from models.files.pictures import Bytes

Image = NDArray[np.float64]
Mask = NDArray[np.bool_]
# Amplitudes are drawn between these multiples of the usual contrast inside an image.
FAINTEST, STRONGEST = 0.5, 4.0
SMALLEST, LARGEST = 0.12, 0.5
# A pixel belongs to a defect if it changed by more than this share of the largest change.
VISIBLE = 0.1
ATTEMPTS = 20


class Defects(NamedTuple):
    """Images `[n, H, W, C]` with one defect each, the masks `[n, H, W]` of the pixels that it
    changed visibly, the kinds, and the places `[n]` of the images that they were made from."""

    images: Bytes
    masks: Mask
    kinds: tuple[str, ...]
    origins: NDArray[np.int64]


class _Scene(NamedTuple):
    """An image to draw a defect on, the set that it is from, and a signed amplitude in tokens."""

    image: Image
    others: Bytes
    amplitude: float
    dice: np.random.Generator


def make_defects(images: Bytes, count: int, vocabulary: int, seed: int) -> Defects:
    """Draw `count` defects, the kinds in turn, on images drawn from `images` `[N, H, W, C]`.

    An image that a defect does not change, as a flat one that is blurred, is drawn anew; after some
    attempts it stays without a defect, and its mask is empty.
    """
    dice = np.random.Generator(np.random.PCG64(seed))
    contrast = max(1.0, float(np.median(images.astype(np.float64).std(axis=(1, 2)))))
    made, masks, kinds, origins = [], [], [], []
    for index in range(count):
        kind = tuple(KINDS)[index % len(KINDS)]
        for _ in range(ATTEMPTS):
            origin = int(dice.integers(len(images)))
            amplitude = contrast * _log_uniform(dice, FAINTEST, STRONGEST) * dice.choice([-1, 1])
            scene = _Scene(images[origin].astype(np.float64), images, float(amplitude), dice)
            found = np.rint(KINDS[kind](scene)).clip(0, vocabulary - 1).astype(np.uint8)
            change = np.abs(found.astype(np.float64) - images[origin]).max(axis=-1)
            mask = change > VISIBLE * change.max()
            if mask.any():
                break
        made.append(found)
        masks.append(mask)
        kinds.append(kind)
        origins.append(origin)
    return Defects(np.stack(made), np.stack(masks), tuple(kinds), np.array(origins))


def _cut_paste(scene: _Scene) -> Image:
    """Paste a rectangle of another image at another place."""
    image, dice = scene.image.copy(), scene.dice
    here = _box(scene)
    height, width = image[here].shape[:2]
    donor = scene.others[int(dice.integers(len(scene.others)))]
    y = int(dice.integers(image.shape[0] - height + 1))
    x = int(dice.integers(image.shape[1] - width + 1))
    image[here] = donor[y : y + height, x : x + width]
    return image


def _scratch(scene: _Scene) -> Image:
    """Draw a straight line with soft edges."""
    dice, (height, width, _) = scene.dice, scene.image.shape
    angle, reach = dice.uniform(0, np.pi), dice.uniform(0.15, 0.6) * max(height, width)
    thickness = dice.uniform(0.4, 1.2) * max(1.0, min(height, width) / 24)
    y, x = _offsets(scene)
    across = y * np.cos(angle) - x * np.sin(angle)
    along = y * np.sin(angle) + x * np.cos(angle)
    line = np.exp(-0.5 * (across / thickness) ** 2) * (np.abs(along) < reach)
    drawn: Image = scene.image + scene.amplitude * line[..., None]
    return drawn


def _blob(scene: _Scene) -> Image:
    """Draw a soft round spot."""
    radius = min(scene.image.shape[:2]) * _log_uniform(scene.dice, 0.05, 0.25)
    y, x = _offsets(scene)
    spot = np.exp(-0.5 * (y**2 + x**2) / radius**2)
    drawn: Image = scene.image + scene.amplitude * spot[..., None]
    return drawn


def _noise(scene: _Scene) -> Image:
    """Add white noise in a rectangle."""
    image, here = scene.image.copy(), _box(scene)
    image[here] += abs(scene.amplitude) * scene.dice.standard_normal(image[here].shape)
    return image


def _missing(scene: _Scene) -> Image:
    """Fill a rectangle with the image's mean, or with the darkest level of all images."""
    image, here = scene.image.copy(), _box(scene)
    darkest = float(scene.others.min())
    image[here] = image.mean(axis=(0, 1)) if scene.dice.random() < 1 / 2 else darkest
    return image


def _blurred(scene: _Scene) -> Image:
    """Smooth a rectangle."""
    image, here = scene.image.copy(), _box(scene, 0.3, 0.8)
    image[here] = np.moveaxis(blur(np.moveaxis(image, -1, 0), 1.2), 0, -1)[here]
    return image


KINDS: dict[str, Callable[[_Scene], Image]] = {
    "cut-paste": _cut_paste,
    "scratch": _scratch,
    "blob": _blob,
    "noise": _noise,
    "missing": _missing,
    "blurred": _blurred,
}


def _box(
    scene: _Scene, smallest: float = SMALLEST, largest: float = LARGEST
) -> tuple[slice, slice]:
    """Draw a rectangle whose sides are some share of the image's, and at least two pixels where the
    image has as many."""
    sides = []
    for length in scene.image.shape[:2]:
        share = _log_uniform(scene.dice, smallest, largest)
        side = min(length, max(2, round(length * share)))
        begin = int(scene.dice.integers(length - side + 1))
        sides.append(slice(begin, begin + side))
    return sides[0], sides[1]


def _offsets(scene: _Scene) -> tuple[Image, Image]:
    """Return each pixel's distances `[H, W]` down and across from a point drawn in the image."""
    height, width, _ = scene.image.shape
    y, x = np.mgrid[:height, :width].astype(np.float64)
    return y - scene.dice.uniform(0, height), x - scene.dice.uniform(0, width)


def _log_uniform(dice: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(dice.uniform(np.log(low), np.log(high))))
