"""A checkpoint that the official code wrote, and every construct of its file format."""

import gzip
import hashlib
import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from models.checkpoints.checkpoint import load_checkpoint
from models.checkpoints.flax_file import read_flax
from models.checkpoints.flax_import import ENTRY, Copy, import_flax
from models.checkpoints.flax_names import convert, official_path, official_shape
from models.checkpoints.official import NAMED, read_settings
from models.checkpoints.onnx_export import export_onnx
from models.schema.errors import CheckpointError

pytestmark = pytest.mark.golden


@pytest.fixture
def tiny(golden_root: Path) -> dict:
    return read_settings(str(golden_root / "ckpt_tiny.json"))


def drawn(path: str, shape: tuple[int, ...], salt: str) -> np.ndarray:
    """A random leaf before its gain, by the folder's rule."""
    seed = zlib.crc32((salt + path).encode())
    draws = np.random.Generator(np.random.PCG64(seed))
    return draws.standard_normal(shape, dtype=np.float32)


@pytest.mark.parametrize(("copy", "salt"), [("ema", ""), ("raw", "raw:")])
def test_the_genuine_file_imports_with_the_copy_asked_for(
    golden_root: Path, tiny: dict, tmp_path: Path, copy: Copy, salt: str
) -> None:
    zipped = golden_root / "ckpt_tiny_ckpt-1.flax.gz"
    papers = json.loads((golden_root / "ckpt_tiny.json").read_text())
    manifest = import_flax(zipped, tiny, tmp_path / "tiny", copy=copy)
    assert manifest.origin is not None
    assert manifest.origin.step == 1
    model = load_checkpoint(tmp_path / "tiny").model
    assert model.config.width == papers["model_config"]["sm_n_embd"] == 32
    assert model.config.schedule_width == papers["n_features"] == 2
    checked = 0
    for name, tensor in model.state_dict().items():
        path = official_path(name)
        shape = official_shape(path, tuple(tensor.shape))
        assert list(shape) == papers["paths"][path]
        if path.endswith("bias"):
            expected = drawn(path, shape, salt) * np.float32(0.05)
            np.testing.assert_array_equal(tensor.numpy(), convert(path, expected).numpy())
            checked += 1
    assert checked > 30
    assert len(model.state_dict()) == len(papers["paths"])


def test_the_file_is_the_one_described(golden_root: Path) -> None:
    content = gzip.decompress((golden_root / "ckpt_tiny_ckpt-1.flax.gz").read_bytes())
    papers = json.loads((golden_root / "ckpt_tiny.json").read_text())
    assert hashlib.sha256(content).hexdigest() in json.dumps(papers)


def test_another_configuration_is_refused(golden_root: Path, tmp_path: Path) -> None:
    for name in NAMED:
        with pytest.raises(CheckpointError, match="width is 32 by its shapes"):
            import_flax(golden_root / "ckpt_tiny_ckpt-1.flax.gz", NAMED[name], tmp_path / "x")
    assert not (tmp_path / "x").exists()
    assert set(ENTRY) == {"ema", "raw"}


def test_every_construct_of_the_format(golden_root: Path) -> None:
    tree = read_flax(golden_root / "msgpack_types.flax")
    papers = json.loads((golden_root / "msgpack_types_expected.json").read_text())
    with np.load(golden_root / "msgpack_types_expected.npz") as stored:
        arrays = dict(stored)
    assert tree.keys() == papers.keys()
    compared = 0
    for name, paper in papers.items():
        found = tree[name]
        if paper["kind"] == "ndarray":
            assert isinstance(found, np.ndarray)
            assert list(found.shape) == paper["shape"]
            np.testing.assert_array_equal(found, arrays[name])
            compared += 1
        elif paper["kind"].startswith("complex"):
            assert found == complex(*paper["value"])
        elif paper["kind"] != "dict":
            assert found == paper["value"]
            assert type(found).__name__ == paper["kind"].rstrip("_")
    assert compared > 8
    assert tree["empty"] == {}
    assert tree["nested"]["1"] == {}
    np.testing.assert_array_equal(tree["nested"]["0"]["mu"], arrays["nested_0_mu"])


def test_its_networks_become_graphs(golden_root: Path, tiny: dict, tmp_path: Path) -> None:
    import_flax(golden_root / "ckpt_tiny_ckpt-1.flax.gz", tiny, tmp_path / "tiny")
    files = export_onnx(load_checkpoint(tmp_path / "tiny"), tmp_path / "graphs")
    names = ["score.onnx", "score_vjp.onnx", "encoder.onnx", "schedule.onnx"]
    assert [file.name for file in files] == names
    assert sorted(tmp_path.glob("graphs/*")) == sorted(files)
