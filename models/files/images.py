"""Images are loaded by name or by path, as pixel tokens, and divided into four parts."""

import gzip
import hashlib
import math
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.files import extras
from models.files.modes import picture_levels
from models.files.pictures import to_tokens
from models.schema.config import ModelConfig
from models.schema.errors import DataError, PictureError
from models.schema.manifest import DataPart, Indices
from models.schema.regular import open_regular, read_regular

Tokens = NDArray[np.uint8]
PARTS: tuple[DataPart, ...] = ("train", "density", "calibration", "test")
Labels = NDArray[np.int64]
NAMED = ("digits",)
# The last byte of an idx file's magic number is its number of axes.
_IDX_BYTES = 0x0800
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    SyntaxError,
    zlib.error,
    zipfile.BadZipFile,
)
_MOST_PICTURE_PIXELS = 1 << 22
_MOST_PICTURE_BYTES = 64 << 20


def load_tokens(source: str, vocabulary: int = 256, channels: int | None = None) -> Tokens:
    """Load images `[N, H, W, C]`, uint8 tokens 0..vocabulary-1, from a data set's name or a path.

    The only name is `digits` (scikit-learn, 8x8, values 0..16). A path is an idx file (gzipped or
    not), a .npy, or a .npz with one array, all of which hold tokens; or a folder of PNGs, read in
    the order of their names, whose pixels are round(255 v / (vocabulary - 1)) for token v. With
    `channels` 1 or 3, a picture of another form is converted where nothing is lost. Raises
    DataError, and MissingExtraError where scikit-learn is not installed.
    """
    if source in NAMED:
        images = np.asarray(_digits().images, dtype=np.uint8)
    else:
        images = _read(Path(source), vocabulary, channels)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or not images.size:
        raise DataError(
            f"{source}: expected images [N, H, W] or [N, H, W, C], found {images.shape}"
        )
    if images.max() >= vocabulary:
        raise DataError(f"{source}: value {images.max()}, the vocabulary ends at {vocabulary - 1}")
    return images


def load_images(source: str, config: ModelConfig) -> Tokens:
    """Load images as `load_tokens` does, and check that a model of `config` takes their shape.

    Raises DataError.
    """
    images = load_tokens(source, config.vocabulary, config.image_shape[2])
    if images.shape[1:] != config.image_shape:
        raise DataError(
            f"{source}: images are {images.shape[1:]}, the model's {config.image_shape}"
        )
    return images


def load_labels(source: str) -> Labels | None:
    """Load the classes `[N]`, int64, of the images that `load_tokens(source)` gives.

    They are known for `digits`, and for an idx file of images whose labels lie beside it under the
    usual name: train-images-idx3-ubyte.gz has train-labels-idx1-ubyte.gz. Other images have none.
    Raises DataError where the file of labels is missing or broken.
    """
    if source in NAMED:
        return np.asarray(_digits().target, dtype=np.int64)
    path = Path(source)
    name = path.name.replace("images-idx3", "labels-idx1")
    if name == path.name:
        return None
    return _guarded(path.with_name(name), lambda file: _read_idx(file, axes=1)).astype(np.int64)


def divide(count: int, sizes: dict[DataPart, int], seed: int) -> dict[DataPart, NDArray[np.int64]]:
    """Divide `range(count)` at random, by `seed`, into disjoint sorted parts of the given sizes.

    Raises DataError when the sizes add up to more than `count`.
    """
    if sum(sizes.values()) > count:
        raise DataError(f"the split asks for {sum(sizes.values())} of {count} images")
    order = np.random.Generator(np.random.PCG64(seed)).permutation(count)
    pieces = np.split(order, np.cumsum(list(sizes.values())))
    # The last piece belongs to no part.
    return {part: np.sort(piece) for part, piece in zip(sizes, pieces[:-1], strict=True)}


def fingerprint(indices: NDArray[np.int64]) -> Indices:
    """Return the count and the SHA-256 of one part's sorted indices."""
    content = np.ascontiguousarray(indices, dtype="<i8").tobytes()
    return Indices(count=len(indices), sha256=hashlib.sha256(content).hexdigest())


def digest(tokens: Tokens) -> str:
    """Return the SHA-256 of a token array in C order, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(tokens).tobytes()).hexdigest()


def _digits() -> Any:
    """Load the handwritten digits that scikit-learn carries. Raises MissingExtraError."""
    return extras.module("sklearn.datasets").load_digits()


def _read(path: Path, vocabulary: int, channels: int | None) -> Tokens:
    """Read a folder, a NumPy file or an idx file. Raises DataError for whatever is wrong with
    it."""
    if path.is_dir():
        return _guarded(path, lambda folder: _read_folder(folder, vocabulary, channels))
    if path.suffix in (".npy", ".npz"):
        return _guarded(path, _read_numpy)
    return _guarded(path, lambda file: _read_idx(file, axes=3))


def _guarded(path: Path, read: Callable[[Path], NDArray[np.generic]]) -> Tokens:
    """Return the uint8 array that `read` finds at `path`.

    Raises DataError, one line that names the file, for every error that reading may raise.
    """
    try:
        found = read(path)
    except _UNREADABLE as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise DataError(f"{path}: {reason or error}") from error
    if found.dtype != np.uint8:
        raise DataError(f"{path}: expected uint8, found {found.dtype}")
    return found.astype(np.uint8, copy=False)


def _read_numpy(path: Path) -> NDArray[np.generic]:
    with open_regular(path) as file:
        found = np.load(file, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        if len(found.files) != 1:
            raise ValueError(f"expected one array, found {found.files}")
        only: NDArray[np.generic] = found[found.files[0]]
        return only


def _read_idx(path: Path, axes: int) -> NDArray[np.generic]:
    zipped = path.suffix == ".gz"
    with open_regular(path) as stored, gzip.open(stored) if zipped else stored as file:
        content = file.read()
    header = struct.Struct(f">{1 + axes}I")
    if len(content) < header.size:
        raise ValueError("truncated idx header")
    magic, *shape = header.unpack_from(content)
    if magic != _IDX_BYTES + axes:
        raise ValueError(f"not an idx file of bytes with {axes} axes (magic {magic:#06x})")
    declared, present = math.prod(shape), len(content) - header.size
    if declared != present:
        raise ValueError(f"{declared} bytes declared, {present} present")
    return np.frombuffer(content, np.uint8, offset=header.size).reshape(shape)


def _read_folder(path: Path, vocabulary: int, channels: int | None) -> Tokens:
    files = sorted(path.glob("*.png"))
    if not files:
        raise ValueError("the folder contains no PNG")
    images = [_read_png(file, channels) for file in files]
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
        raise DataError(f"{files[first]}: pixel value {value} is not {grid} for any token v")
    return tokens


def _read_png(file: Path, channels: int | None) -> Tokens:
    try:
        content = read_regular(file, _MOST_PICTURE_BYTES)
        return picture_levels(content, _MOST_PICTURE_PIXELS, channels)
    except PictureError as error:
        raise DataError(f"{file}: {error}") from error
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from error
