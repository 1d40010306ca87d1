"""Pictures as people bring them: real digits, and damaged ones."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from models.files.pictures import encode_png

VOCABULARY = 17


def write_digits(folder: Path, count: int) -> list[Path]:
    """Write real digits as PNGs, and return their paths."""
    folder.mkdir(exist_ok=True)
    digits = load_digits().images[:count].astype(np.uint8)
    paths = [folder / f"digit-{number}.png" for number in range(count)]
    for path, digit in zip(paths, digits, strict=True):
        path.write_bytes(encode_png(digit[..., None], VOCABULARY))
    return paths


def write_damaged(folder: Path) -> list[Path]:
    """Write a digit with a bar across it, and mere noise."""
    folder.mkdir(exist_ok=True)
    scratched = load_digits().images[5].astype(np.uint8)
    scratched[2:5] = 16
    noise = np.random.default_rng(0).integers(0, VOCABULARY, (8, 8)).astype(np.uint8)
    paths = [folder / "scratched.png", folder / "noise.png"]
    for path, image in zip(paths, (scratched, noise), strict=True):
        path.write_bytes(encode_png(image[..., None], VOCABULARY))
    return paths
