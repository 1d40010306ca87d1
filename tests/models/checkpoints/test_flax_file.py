"""Flax's msgpack files: every construct, and everything that is wrong."""

import gzip
import os
import pickle
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.checkpoints.flax_file import read_flax
from models.schema.errors import CheckpointError


def packed(value: Any) -> msgpack.ExtType:
    """An array or a NumPy scalar as Flax writes it."""
    array = np.asarray(value)
    content = (list(array.shape), array.dtype.name, array.tobytes())
    return msgpack.ExtType(1 if isinstance(value, np.ndarray) else 3, msgpack.packb(content))


def write(path: Path, tree: Any) -> Path:
    path.write_bytes(msgpack.packb(tree))
    return path


WEIGHTS = np.arange(6, dtype=np.float32).reshape(2, 3)
TREE = {
    "step": packed(np.array(3, np.int32)),
    "params": {"b": packed(-WEIGHTS)},
    "ema_params": {"a": {"kernel": packed(WEIGHTS)}, "b": packed(WEIGHTS.T.copy())},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "ckpt-1.flax", TREE)


def test_a_tree(file: Path) -> None:
    tree = read_flax(file)
    assert list(tree) == ["step", "params", "ema_params"]
    assert tree["step"] == 3
    np.testing.assert_array_equal(tree["ema_params"]["a"]["kernel"], WEIGHTS)
    np.testing.assert_array_equal(tree["ema_params"]["b"], WEIGHTS.T)


def test_only_some_entries(file: Path) -> None:
    assert list(read_flax(file, {"ema_params"})) == ["ema_params"]
    assert read_flax(file, {"nothing"}) == {}


def test_gzipped(file: Path) -> None:
    zipped = file.with_suffix(".gz")
    zipped.write_bytes(gzip.compress(file.read_bytes()))
    np.testing.assert_array_equal(read_flax(zipped)["params"]["b"], -WEIGHTS)


@pytest.mark.parametrize(
    "array",
    [
        np.array([[True, False]]),
        np.arange(5, dtype=np.uint8),
        np.array([1, -(2**40)]),
        np.array([0.5, np.nan], np.float16),
        np.array([[1e300]]),
        np.array([1 + 2j]),
        np.zeros((0, 4), np.float32),
        np.array(2.5),
    ],
    ids=lambda array: array.dtype.name,
)
def test_arrays(tmp_path: Path, array: Any) -> None:
    found = read_flax(write(tmp_path / "f", {"x": packed(array)}))["x"]
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype


def test_bfloat16_is_the_upper_half_of_float32(tmp_path: Path) -> None:
    values = np.array([[1.5, -2.0, 3e38]], np.float32)
    upper = (values.view(np.uint32) >> 16).astype(np.uint16)
    content = msgpack.packb([[1, 3], "bfloat16", upper.tobytes()])
    found = read_flax(write(tmp_path / "f", {"x": msgpack.ExtType(1, content)}))["x"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values, rtol=2**-8)


def test_plain_values_scalars_and_complex_numbers(tmp_path: Path) -> None:
    plain = {"i": -3, "big": 2**40, "f": 0.125, "b": True, "none": None, "s": "ünï", "empty": {}}
    extended = {"c": msgpack.ExtType(2, msgpack.packb([1.5, -2.0])), "n": packed(np.float32(7))}
    found = read_flax(write(tmp_path / "f", plain | extended | {"list": [1, {"x": 2}]}))
    assert found == plain | {"c": 1.5 - 2j, "n": 7, "list": [1, {"x": 2}]}


def chunked(**changes: Any) -> dict[str, Any]:
    flat = np.arange(24, dtype=np.float32)
    chunks = {str(i): packed(flat[2 * i : 2 * i + 2]) for i in range(12)}
    # Lexicographic, as a sorted map has them: 10 and 11 come before 2.
    ordered = dict(sorted(chunks.items()))
    whole = {"__msgpack_chunked_array__": True, "shape": {"0": 4, "1": 6}, "chunks": ordered}
    return whole | changes


def test_chunks_are_joined_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    found = read_flax(write(tmp_path / "f", {"x": chunked()}))["x"]
    np.testing.assert_array_equal(found, np.arange(24, dtype=np.float32).reshape(4, 6))


@pytest.mark.parametrize(
    "changes",
    [{"shape": {"0": 5, "1": 6}}, {"shape": 3}, {"chunks": {"0": 1, "2": 2}}, {"chunks": {}}],
)
def test_chunks_that_do_not_fit(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = write(tmp_path / "f", {"a": {"x": chunked(**changes)}})
    assert ": a/x: chunks that do not fit" in refusal(path)


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_flax(path, **options)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line


def extension(code: int, *payload: Any) -> dict[str, Any]:
    return {"a": {"kernel": msgpack.ExtType(code, msgpack.packb(payload))}}


@pytest.mark.parametrize(
    ("tree", "fault"),
    [
        (extension(7, 1), "a/kernel: unknown extension type 7"),
        (extension(1, [2, 3], "float32", b"1234"), "a/kernel: float32[2, 3] has 4 bytes"),
        (extension(1, [2, -1], "float32", b""), "a/kernel: not a shape"),
        (extension(1, [2**62, 2**62], "float32", b""), "has 0 bytes"),
        (extension(1, [1], "object", b"12345678"), "a/kernel: unknown dtype object"),
        (extension(1, [1], "float32"), "a/kernel: "),
        (extension(1, [1], "float32", "text"), "a/kernel: not an array"),
        (extension(2, 1.0), "a/kernel: "),
        (extension(3, [], "str", b"ab"), "a/kernel: unknown dtype str"),
        ({"t": msgpack.Timestamp(0, 0)}, "t: unknown extension type -1"),
        ({3: 4}, "expected a name, found 3"),
        ([1, 2], "offset 0: "),
        (7, "offset 0: "),
    ],
)
def test_leaves_that_cannot_be_read(tmp_path: Path, tree: Any, fault: str) -> None:
    assert fault in refusal(write(tmp_path / "f", tree))


def nested(depth: int) -> Any:
    return {"x": nested(depth - 1)} if depth else 1


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "offset 0: the file ends in the middle"),
        (msgpack.packb(TREE)[:-5], "the file ends in the middle"),
        (msgpack.packb(TREE) + b"\x00", "the file goes on after the outermost map"),
        (msgpack.packb(TREE) + b"\xc6\xff", "the file goes on after the outermost map"),
        (b"\x82\xa1y\x01\xa1y\x02", "y occurs twice"),
        (b"\x81\xa3a\nb\x01", "expected a name"),
        (b"\x81\xa1x\xc1", "not msgpack"),
        (b"\x81\xa1x" + b"\x91" * 100_000 + b"\x00", "nested too deeply"),
        (b"\x81\xa1x\xdf\xff\xff\xff\xff", "exceeds max_map_len"),
        (b"\x81\xa1x\xdd\xff\xff\xff\xff", "exceeds max_array_len"),
        (b"\x81\xa1x\xc9\xff\xff\xff\xff\x01", "exceeds max_ext_len"),
        (b"\x81\xa1x\xdb\x00\xff\xff\xff" + b" " * 2**20, "the file ends in the middle"),
        (b"\x81\xa1x\xc9\x00\xff\xff\xff\x01ab", "the file ends in the middle"),
        (b"\x82\xa1x\x01\xa1x\x02", "x occurs twice"),
        (b"\x81\xa1\xff\x01", "codec can't decode"),
        (pickle.dumps({"a": 1}), "this is a pickle, and pickles are never read"),
        (gzip.compress(msgpack.packb(TREE))[:-20], "the gzip stream ends in the middle"),
        (b"\x1f\x8bnothing", "offset 0: "),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(content)
    assert fault in refusal(path, max_bytes=2**31)


def test_nesting_has_an_end(tmp_path: Path) -> None:
    assert read_flax(write(tmp_path / "f", nested(20)))
    assert "nested too deeply" in refusal(write(tmp_path / "f", nested(200)))


def test_a_limit_on_the_whole(file: Path, tmp_path: Path) -> None:
    size = file.stat().st_size
    assert read_flax(file, max_bytes=size)
    assert f"longer than the limit of {size - 1} bytes" in refusal(file, max_bytes=size - 1)
    zipped = tmp_path / "bomb.gz"
    zipped.write_bytes(gzip.compress(msgpack.packb({"x": "\0" * 4000, "y": b"\0" * 10**7})))
    assert "limit" in refusal(zipped, max_bytes=10**6)


def test_many_small_things_are_too_many(tmp_path: Path) -> None:
    """Each byte is a map here, and takes sixty in memory."""
    content = msgpack.packb({"x": [[{}] * 60_000] * 200})
    (tmp_path / "f").write_bytes(gzip.compress(content))
    assert "more than 100000 entries" in refusal(tmp_path / "f")


def test_what_is_not_there(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nothing").endswith("No such file or directory")
    assert refusal(tmp_path).endswith("Is a directory")
    os.mkfifo(tmp_path / "ckpt-1.flax")
    assert refusal(tmp_path / "ckpt-1.flax").endswith("not a regular file")


class Bomb:
    """Fails the test if it is ever unpickled."""

    def __reduce__(self) -> Any:
        return (pytest.fail, ("unpickled",))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_executed(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(pickle.dumps(Bomb(), protocol))
    refusal(path)


@given(st.binary(max_size=200), st.integers(0, 150))
def test_no_bytes_bring_it_down(tmp_path_factory: Any, noise: bytes, at: int) -> None:
    """Random bytes, and a good file with some of them in it, are read or refused in a line."""
    path = tmp_path_factory.mktemp("noise") / "f"
    good = msgpack.packb(TREE)
    for content in (noise, good[:at] + noise + good[at + len(noise) :]):
        path.write_bytes(content)
        with suppress(CheckpointError):
            assert isinstance(read_flax(path, max_bytes=10**6), dict)


def test_the_example_of_the_format(tmp_path: Path) -> None:
    path = tmp_path / "f"
    head = bytes.fromhex("81a473746570 c70e01 9390a5") + b"int32" + bytes.fromhex("c404")
    path.write_bytes(head + struct.pack("<i", 1))
    assert read_flax(path) == {"step": 1}
