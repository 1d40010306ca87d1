"""Corruptions of images: abnormal images that are close to the normal ones."""

from collections.abc import Callable

import numpy as np

from models.files.images import Tokens

Corruption = Callable[[Tokens, int, np.random.Generator], Tokens]

STRUCK = 0.1
# The number of patches along a side, about.
PIECES = 4
LEAST_PIECE = 2


def _rotated(images: Tokens, vocabulary: int, dice: np.random.Generator) -> Tokens:
    """Rotate by a quarter turn, or by half a turn where height and width differ."""
    turns = 1 if images.shape[1] == images.shape[2] else 2
    return np.rot90(images, turns, axes=(1, 2)).astype(np.uint8)


def _inverted(images: Tokens, vocabulary: int, dice: np.random.Generator) -> Tokens:
    inverted: Tokens = np.uint8(vocabulary - 1) - images
    return inverted


def _blurred(images: Tokens, vocabulary: int, dice: np.random.Generator) -> Tokens:
    """Replace each pixel by the mean of the nine around it; edges repeat."""
    wide = np.pad(images.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (3, 3), axis=(1, 2))
    blurred: Tokens = np.rint(windows.mean(axis=(-2, -1))).astype(np.uint8)
    return blurred


def _salt_and_pepper(images: Tokens, vocabulary: int, dice: np.random.Generator) -> Tokens:
    """Set a tenth of the pixels to the darkest or the brightest level."""
    shape = (*images.shape[:3], 1)
    struck = dice.random(shape) < STRUCK
    level = np.where(dice.random(shape) < 1 / 2, vocabulary - 1, 0)
    return np.where(struck, level, images).astype(np.uint8)


def _half_erased(images: Tokens, vocabulary: int, dice: np.random.Generator) -> Tokens:
    """Set the right half to the darkest level."""
    erased = images.copy()
    erased[:, :, images.shape[2] // 2 :] = 0
    return erased


def _shuffled(images: Tokens, vocabulary: int, dice: np.random.Generator) -> Tokens:
    """Permute square patches, differently in each image; a remainder at the edges stays."""
    count, height, width, _ = images.shape
    side = max(LEAST_PIECE, min(height, width) // PIECES)
    corners = [
        (y, x) for y in range(0, height - side + 1, side) for x in range(0, width - side + 1, side)
    ]
    shuffled = images.copy()
    for index in range(count):
        for (y, x), source in zip(corners, dice.permutation(len(corners)), strict=True):
            v, u = corners[source]
            shuffled[index, y : y + side, x : x + side] = images[index, v : v + side, u : u + side]
    return shuffled


def _noise(images: Tokens, vocabulary: int, dice: np.random.Generator) -> Tokens:
    """Replace every pixel by a uniformly random token."""
    return dice.integers(0, vocabulary, images.shape, dtype=np.uint8)


CORRUPTIONS: dict[str, Corruption] = {
    "rotated": _rotated,
    "inverted": _inverted,
    "blurred": _blurred,
    "salt-and-pepper": _salt_and_pepper,
    "half-erased": _half_erased,
    "shuffled-patches": _shuffled,
    "noise": _noise,
}


def corrupt(name: str, images: Tokens, vocabulary: int, seed: int) -> Tokens:
    """Return `images` `[N, H, W, C]` after the corruption `name`, by `seed`."""
    dice = np.random.Generator(np.random.PCG64(seed))
    return np.ascontiguousarray(CORRUPTIONS[name](images, vocabulary, dice))
