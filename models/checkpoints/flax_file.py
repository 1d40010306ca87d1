"""Files of Flax's msgpack serialization are read as a stream, and nothing in them is executed.

The format is that of flax.serialization 0.7: nested maps whose leaves are plain values and three
extension types, an array, a complex number and a NumPy scalar. An array past 2^30 bytes is a map of
flat chunks.
"""

import gzip
import math
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.schema.errors import CheckpointError
from models.schema.regular import open_regular

Tree = dict[str, Any]
ARRAY, COMPLEX, SCALAR = 1, 2, 3
CHUNKED = "__msgpack_chunked_array__"
MAX_BYTES = 8 * 2**30
MAX_DEPTH, MAX_ENTRIES, MAX_AXES, MAX_NAME = 32, 100_000, 32, 4096
GZIP, PICKLE = b"\x1f\x8b", b"\x80"
BFLOAT16 = "bfloat16"
_PLAIN = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_INEXACT = ("float16", "float32", "float64", "complex64", "complex128")
DTYPES = {name: np.dtype(name).newbyteorder("<") for name in (*_PLAIN, *_INEXACT)}
_REASONS: dict[type[BaseException], str] = {
    msgpack.OutOfData: "the file ends in the middle",
    msgpack.StackError: "nested too deeply",
    msgpack.FormatError: "not msgpack",
    msgpack.BufferFull: "longer than the limit",
    EOFError: "the gzip stream ends in the middle",
}


class _Fault(NamedTuple):
    """A placeholder for a leaf that cannot be read, until the leaf's name is known."""

    reason: str


def read_flax(
    path: Path,
    only: Collection[str] | None = None,
    *,
    max_bytes: int = MAX_BYTES,
    progress: bool = False,
) -> Tree:
    """Read the tree in a Flax file, gzipped or not: nested dicts of NumPy arrays and plain values.

    bfloat16 becomes float32. With `only`, the other entries of the outermost map are skipped
    without being kept in memory. Raises CheckpointError, which names the leaf or the offset, for
    anything wrong with the file and for more than `max_bytes` of content.
    """
    with _opened(path, max_bytes, progress) as file:
        budget = _Budget()
        unpacker = msgpack.Unpacker(
            file,
            ext_hook=_leaf,
            object_pairs_hook=budget.map,
            list_hook=budget.list,
            max_buffer_size=max_bytes,
            max_str_len=MAX_NAME,
            max_bin_len=max_bytes,
            max_array_len=MAX_ENTRIES,
            max_map_len=MAX_ENTRIES,
            max_ext_len=max_bytes,
        )
        try:
            tree = _distinct(_entries(unpacker, only))
            if unpacker.read_bytes(1):
                raise ValueError("the file goes on after the outermost map")
        except (msgpack.UnpackException, ValueError, EOFError, OSError) as error:
            reason = _REASONS.get(type(error), str(error))
            fault = (
                f"{path}: cannot be read as a Flax checkpoint: offset {unpacker.tell()}: {reason}"
            )
            raise CheckpointError(fault) from error
    try:
        resolved: Tree = _resolved(tree, ())
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return resolved


@contextmanager
def _opened(path: Path, max_bytes: int, progress: bool) -> Iterator["_Limited"]:
    """Yield the file's content, unzipped, with a progress bar."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            magic = file.peek(2)[:2]
            if magic[:1] == PICKLE and magic != PICKLE:
                raise CheckpointError(f"{path}: this is a pickle, and pickles are never read")
            with tqdm.wrapattr(
                file, "read", total=size, desc=path.name, disable=not progress
            ) as shown:
                if magic == GZIP:
                    with gzip.GzipFile(fileobj=shown) as unzipped:
                        yield _Limited(unzipped, max_bytes)
                else:
                    yield _Limited(shown, max_bytes)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error


class _Budget:
    """A limit on the number of maps, lists and entries in all.

    Each byte of a file can be an entry, and an entry takes many bytes of memory.
    """

    def __init__(self) -> None:
        self._left = MAX_ENTRIES

    def map(self, entries: list[tuple[Any, Any]]) -> Tree:
        self._take(entries)
        return _distinct(entries)

    def list(self, items: list[Any]) -> list[Any]:
        self._take(items)
        return items

    def _take(self, items: Sequence[Any]) -> None:
        self._left -= 1 + len(items)
        if self._left < 0:
            raise ValueError(f"more than {MAX_ENTRIES} entries")


class _Limited:
    """A file that raises ValueError where it is longer than its limit."""

    def __init__(self, file: Any, limit: int) -> None:
        self._file, self._limit, self._count = file, limit, 0

    def read(self, size: int) -> bytes:
        content: bytes = self._file.read(size)
        self._count += len(content)
        if self._count > self._limit:
            raise ValueError(f"longer than the limit of {self._limit} bytes")
        return content


def _entries(unpacker: msgpack.Unpacker, only: Collection[str] | None) -> Iterator[tuple[str, Any]]:
    """Yield the entries of the outermost map, one at a time."""
    names: Tree = {}
    for _ in range(unpacker.read_map_header()):
        name = unpacker.unpack()
        names = _distinct([*names.items(), (name, None)])
        if only is None or name in only:
            yield name, unpacker.unpack()
        else:
            unpacker.skip()


def _distinct(entries: Any) -> Tree:
    """Return a map, after checking that its names are distinct strings that can be joined by
    slashes."""
    found: Tree = {}
    for name, value in entries:
        if not isinstance(name, str) or "/" in name or not name.isprintable():
            raise ValueError(f"expected a name, found {name!r:.40}")
        if name in found:
            raise ValueError(f"{name} occurs twice")
        found[name] = value
    return found


def _leaf(code: int, payload: bytes) -> Any:
    """Return an extension's value, or a _Fault that says why it has none."""
    try:
        if code == COMPLEX:
            real, imaginary = msgpack.unpackb(payload, max_array_len=2)
            return complex(real, imaginary)
        if code in (ARRAY, SCALAR):
            array = _array(payload)
            return array if code == ARRAY else array[()]
    except (msgpack.UnpackException, ValueError, TypeError) as error:
        return _Fault(_REASONS.get(type(error), str(error)))
    return _Fault(f"unknown extension type {code}")


def _array(payload: bytes) -> NDArray[Any]:
    shape, dtype, content = msgpack.unpackb(payload, max_array_len=MAX_AXES)
    if not isinstance(content, bytes) or not isinstance(dtype, str):
        raise ValueError("not an array: expected shape, dtype and bytes")
    size = _size(shape)
    stored = DTYPES.get("uint16" if dtype == BFLOAT16 else dtype)
    if stored is None:
        raise ValueError(f"unknown dtype {dtype:.40}")
    if len(content) != size * stored.itemsize:
        raise ValueError(f"{dtype}{shape} has {len(content)} bytes")
    flat = np.frombuffer(content, stored)
    if dtype == BFLOAT16:
        flat = (flat.astype("<u4") << 16).view("<f4")
    return flat.reshape(shape)


def _size(shape: Any) -> int:
    """Return the number of entries of an array of this shape. Raises ValueError for any other
    value."""
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"not a shape: {shape!r:.60}")
    return math.prod(shape)


def _resolved(value: Any, path: tuple[str, ...]) -> Any:
    """Return the tree with chunks joined. Raises ValueError, which names the leaf, for a fault in
    it."""
    name = "/".join(path)
    if len(path) > MAX_DEPTH:
        raise ValueError(f"{name:.200}: nested too deeply")
    if isinstance(value, _Fault):
        raise ValueError(f"{name}: {value.reason}")
    if isinstance(value, msgpack.Timestamp):
        raise ValueError(f"{name}: unknown extension type -1")
    if isinstance(value, list):
        return [_resolved(item, (*path, str(index))) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    tree = {key: _resolved(item, (*path, key)) for key, item in value.items()}
    if tree.get(CHUNKED) is not True:
        return tree
    try:
        return _joined(tree)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{name}: chunks that do not fit together ({error})") from error


def _joined(tree: Tree) -> NDArray[Any]:
    """Join an array's chunks, whose names are their numbers."""
    shape, chunks = (
        [tree[part][str(number)] for number in range(len(tree[part]))]
        for part in ("shape", "chunks")
    )
    array = np.concatenate(chunks)
    if array.size != _size(shape):
        raise ValueError(f"{array.size} entries for {shape}")
    return array.reshape(shape)
