"""Images by name or by path, as pixel tokens, and their division into four parts."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from models.errors import DataError
from models.manifest import Indices, Part

Tokens = NDArray[np.uint8]
PARTS: tuple[Part, ...] = ("train", "density", "calibration", "test")
_IDX_IMAGES = 0x0803


def load_tokens(source: str) -> Tokens:
    """Images `[N, H, W, C]`, uint8, from a data set's name or a path.

    Names: `digits` (scikit-learn, 8x8, values 0..16). Paths: an idx file (gzipped or not), .npy,
    .npz (its only array), or a folder of PNGs. Raises DataError.
    """
    if source == "digits":
        return np.asarray(load_digits().images, dtype=np.uint8)[..., None]
    path = Path(source)
    try:
        images = _read(path)
    except (OSError, ValueError, struct.error) as error:
        raise DataError(f"{path}: {error}") from error
    if images.dtype != np.uint8:
        raise DataError(f"{path}: expected uint8 tokens, found {images.dtype}")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or not images.size:
        raise DataError(f"{path}: expected images [N, H, W] or [N, H, W, C], found {images.shape}")
    return images


def divide(count: int, sizes: dict[Part, int], seed: int) -> dict[Part, NDArray[np.int64]]:
    """Divide `range(count)` at random, by `seed`, into disjoint sorted parts of the given sizes.

    Raises DataError when the sizes ask for more than there is.
    """
    if sum(sizes.values()) > count:
        raise DataError(f"the split asks for {sum(sizes.values())} of {count} images")
    order = np.random.Generator(np.random.PCG64(seed)).permutation(count)
    ends = np.cumsum([sizes[part] for part in sizes])
    pieces = np.split(order[: ends[-1]], ends[:-1])
    return {part: np.sort(piece) for part, piece in zip(sizes, pieces, strict=True)}


def fingerprint(indices: NDArray[np.int64]) -> Indices:
    """Count and SHA-256 of one part's sorted indices."""
    content = np.ascontiguousarray(indices, dtype="<i8").tobytes()
    return Indices(count=len(indices), sha256=hashlib.sha256(content).hexdigest())


def digest(tokens: Tokens) -> str:
    """SHA-256 of a token array, C order."""
    return hashlib.sha256(np.ascontiguousarray(tokens).tobytes()).hexdigest()


def _read(path: Path) -> NDArray[np.generic]:
    if path.is_dir():
        return _read_folder(path)
    if path.suffix in (".npy", ".npz"):
        with open(path, "rb") as file:
            found = np.load(file, allow_pickle=False)
            if isinstance(found, np.ndarray):
                return found
            if len(found.files) != 1:
                raise DataError(f"{path}: expected one array, found {found.files}")
            only: NDArray[np.generic] = found[found.files[0]]
            return only
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        return _parse_idx(file.read())


def _parse_idx(content: bytes) -> NDArray[np.uint8]:
    magic, count, height, width = struct.unpack(">4I", content[:16])
    if magic != _IDX_IMAGES:
        raise ValueError(f"not an idx file of images (magic {magic:#06x})")
    return np.frombuffer(content, np.uint8, offset=16).reshape(count, height, width)


def _read_folder(path: Path) -> NDArray[np.uint8]:
    files = sorted(path.glob("*.png"))
    if not files:
        raise DataError(f"{path}: no PNG in this folder")
    images = [np.asarray(Image.open(file)) for file in files]
    if len({image.shape for image in images}) > 1:
        raise DataError(f"{path}: the images differ in shape")
    return np.stack(images)
