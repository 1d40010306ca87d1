"""Tensors as the Open Inference Protocol has them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

BYTES: Final = "BYTES"
Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
    "FP16", "FP32", "FP64", "BYTES",
]  # fmt: skip
# The name of the input that carries images. Its elements are tokens as UINT8 `[N, H, W, C]`, or
# files as BYTES `[N]`.
IMAGES = "images"
# A size that requests and answers choose.
ANY = -1
# Little-endian, as the protocol has binary data.
DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
}


class Tensor(NamedTuple):
    """Elements in row-major order: an array; or, of the datatype BYTES, byte strings, or texts that
    came as JSON."""

    datatype: Datatype
    shape: tuple[int, ...]
    elements: NDArray[Any] | Sequence[bytes | str]


class TensorSpec(NamedTuple):
    """The declaration of a tensor; a size of -1 in `shape` may be any. The elements of a tensor of
    `files` are base64 in JSON, and the bytes themselves in binary data."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    optional: bool = False
    files: bool = False


def numbers(datatype: Datatype, values: Sequence[Any]) -> Tensor:
    """Return the tensor `[N]` of numbers, in which None becomes NaN."""
    found = [np.nan if value is None else value for value in values]
    return array(datatype, np.array(found, DTYPES[datatype]))


def array(datatype: Datatype, values: NDArray[Any]) -> Tensor:
    """Return the tensor of an array, of the array's shape."""
    return Tensor(datatype, values.shape, values.astype(DTYPES[datatype], copy=False))


def strings(values: Sequence[str | bytes | None]) -> Tensor:
    """Return the tensor `[N]` of byte strings, in which None becomes an empty one."""
    found = [value.encode() if isinstance(value, str) else value or b"" for value in values]
    return Tensor(BYTES, (len(found),), found)
