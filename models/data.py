"""Images by name or by path, as pixel tokens, and their division into four parts."""

import gzip
import hashlib
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from models.errors import DataError
from models.manifest import Indices, Part
from models.pictures import to_tokens

Tokens = NDArray[np.uint8]
PARTS: tuple[Part, ...] = ("train", "density", "calibration", "test")
_IDX_IMAGES = 0x0803
_IDX_HEADER = struct.Struct(">4I")
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    SyntaxError,
    zlib.error,
    zipfile.BadZipFile,
    Image.DecompressionBombError,
)


def load_tokens(source: str, vocabulary: int = 256) -> Tokens:
    """Images `[N, H, W, C]`, uint8, from a data set's name or a path; tokens 0..vocabulary-1.

    Names: `digits` (scikit-learn, 8x8, values 0..16). Paths: an idx file (gzipped or not), .npy,
    .npz (its only array), all of which hold tokens; or a folder of 8-bit PNGs, grey or RGB, in
    the order of their names, which hold round(255 v / (vocabulary - 1)). Raises DataError.
    """
    if source == "digits":
        images = np.asarray(load_digits().images, dtype=np.uint8)
    else:
        images = _read(Path(source), vocabulary)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or not images.size:
        raise DataError(
            f"{source}: expected images [N, H, W] or [N, H, W, C], found {images.shape}"
        )
    if images.max() >= vocabulary:
        raise DataError(f"{source}: value {images.max()} in a vocabulary of {vocabulary}")
    return images


def divide(count: int, sizes: dict[Part, int], seed: int) -> dict[Part, NDArray[np.int64]]:
    """Divide `range(count)` at random, by `seed`, into disjoint sorted parts of the given sizes.

    Raises DataError when the sizes ask for more than there is.
    """
    if sum(sizes.values()) > count:
        raise DataError(f"the split asks for {sum(sizes.values())} of {count} images")
    order = np.random.Generator(np.random.PCG64(seed)).permutation(count)
    pieces = np.split(order, np.cumsum(list(sizes.values())))
    # The last piece is what no part asked for.
    return {part: np.sort(piece) for part, piece in zip(sizes, pieces[:-1], strict=True)}


def fingerprint(indices: NDArray[np.int64]) -> Indices:
    """Count and SHA-256 of one part's sorted indices."""
    content = np.ascontiguousarray(indices, dtype="<i8").tobytes()
    return Indices(count=len(indices), sha256=hashlib.sha256(content).hexdigest())


def digest(tokens: Tokens) -> str:
    """SHA-256 of a token array, C order."""
    return hashlib.sha256(np.ascontiguousarray(tokens).tobytes()).hexdigest()


def _read(path: Path, vocabulary: int) -> Tokens:
    """Raises DataError, in one line that names the file, for whatever is wrong with it."""
    try:
        if path.is_dir():
            return _read_folder(path, vocabulary)
        if path.suffix in (".npy", ".npz"):
            images = _read_numpy(path)
        else:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
                images = _parse_idx(file.read())
    except _UNREADABLE as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise DataError(f"{path}: {reason or error}") from error
    if images.dtype != np.uint8:
        raise DataError(f"{path}: expected uint8 tokens, found {images.dtype}")
    return images.astype(np.uint8, copy=False)


def _read_numpy(path: Path) -> NDArray[np.generic]:
    with path.open("rb") as file:
        found = np.load(file, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        if len(found.files) != 1:
            raise ValueError(f"expected one array, found {found.files}")
        only: NDArray[np.generic] = found[found.files[0]]
        return only


def _parse_idx(content: bytes) -> NDArray[np.generic]:
    if len(content) < _IDX_HEADER.size:
        raise ValueError("truncated idx header")
    magic, count, height, width = _IDX_HEADER.unpack_from(content)
    if magic != _IDX_IMAGES:
        raise ValueError(f"not an idx file of images (magic {magic:#06x})")
    declared, present = count * height * width, len(content) - _IDX_HEADER.size
    if declared != present:
        raise ValueError(f"{declared} bytes of pixels declared, {present} present")
    pixels = np.frombuffer(content, np.uint8, offset=_IDX_HEADER.size)
    return pixels.reshape(count, height, width)


def _read_folder(path: Path, vocabulary: int) -> Tokens:
    files = sorted(path.glob("*.png"))
    if not files:
        raise ValueError("no PNG in this folder")
    images = [_read_png(file) for file in files]
    for file, image in zip(files, images, strict=True):
        if image.shape != images[0].shape:
            raise DataError(f"{file}: shape {image.shape}, the first image has {images[0].shape}")
    pixels = np.stack(images)
    tokens, wrong = to_tokens(pixels, vocabulary)
    off = wrong.reshape(len(files), -1)
    if off.any():
        first = int(off.any(axis=1).argmax())
        value = pixels[first].ravel()[off[first].argmax()]
        grid = f"round(255 v / {vocabulary - 1})"
        raise DataError(f"{files[first]}: pixel value {value} is no {grid}")
    return tokens


def _read_png(file: Path) -> Tokens:
    try:
        with Image.open(file, formats=["PNG"]) as image:
            if image.mode not in ("L", "RGB"):
                raise ValueError(f"mode {image.mode}; only 8-bit grey and RGB are read")
            return np.asarray(image)
    except _UNREADABLE as error:
        raise DataError(f"{file}: {error}") from error
