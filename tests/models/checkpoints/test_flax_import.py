"""Importing official checkpoints, written here by the format's own rules."""

import gzip
import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from official_file import CONFIG, SAID, Leaves, leaves_of, nested, packed, write

from models.checkpoints.checkpoint import load_checkpoint
from models.checkpoints.flax_import import import_flax
from models.checkpoints.flax_names import official_path, rename
from models.checkpoints.official import NAMED, read_settings
from models.cli import models
from models.network.mulan import Mulan
from models.schema.errors import CheckpointError


@pytest.fixture(scope="module")
def ema() -> Leaves:
    return leaves_of(CONFIG, 1)


@pytest.fixture(scope="module")
def file(ema: Leaves, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("official") / "ckpt-7.flax", ema)


@pytest.mark.parametrize("attention", [False, True])
def test_names_go_there_and_back(attention: bool) -> None:
    config = CONFIG.model_copy(update={"attention": attention, "depth": 12})
    with torch.device("meta"):
        names = list(Mulan(config).state_dict())
    assert [rename(official_path(name)) for name in names] == names
    assert len({official_path(name) for name in names}) == len(names)


def test_what_the_shapes_show_need_not_be_said(file: Path, ema: Leaves, tmp_path: Path) -> None:
    manifest = import_flax(file, SAID, tmp_path / "Some Model")
    model = load_checkpoint(tmp_path / "Some Model").model
    assert manifest.config == model.config == CONFIG
    assert manifest.name == "some-model"
    assert manifest.origin is not None
    assert (manifest.origin.file, manifest.origin.parameters) == ("ckpt-7.flax", "ema")
    assert manifest.origin.step == 70_000
    kernel = ema["gamma/dense_1/kernel"]
    np.testing.assert_array_equal(model.gamma.dense_1.weight.numpy(), kernel.T)
    conv = ema["score_model/up.block_1/conv2/kernel"]
    np.testing.assert_array_equal(
        model.score.up[1].res.conv2.weight.numpy(), conv.transpose(3, 2, 0, 1)
    )


def test_the_raw_copy(file: Path, tmp_path: Path) -> None:
    manifest = import_flax(file, SAID, tmp_path / "raw", copy="raw", name="raw-one")
    weight = load_checkpoint(tmp_path / "raw").model.gamma.dense_1.weight.numpy()
    raw = leaves_of(CONFIG, 2)["gamma/dense_1/kernel"]
    np.testing.assert_array_equal(weight, raw.T)
    assert (manifest.name, manifest.origin and manifest.origin.parameters) == ("raw-one", "raw")


@pytest.mark.parametrize(
    "changes",
    [
        {"attention": True, "depth": 1, "encoder_depth": 3},
        {"schedule_width": None, "latent_size": 50, "latent_k": 15},
        {"fourier": ()},
        {"image_shape": (8, 4, 1)},
    ],
    ids=str,
)
def test_other_sizes(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = CONFIG.model_copy(update=changes)
    said = SAID | {key: changes[key] for key in ("latent_k", "image_shape") if key in changes}
    file = write(tmp_path / "f", leaves_of(config, 1))
    assert import_flax(file, said, tmp_path / "out").config == config


def test_the_latest_of_a_folder_and_a_name_without_its_ending(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints-0"
    folder.mkdir()
    with pytest.raises(CheckpointError, match=r"no ckpt-N\.flax in this folder"):
        import_flax(folder, SAID, tmp_path / "out")
    for number in (2, 9, 10):
        (folder / f"ckpt-{number}.flax").write_bytes(file.read_bytes())
    (folder / "ckpt-11.index").touch()
    latest = import_flax(folder, SAID, tmp_path / "latest").origin
    named = import_flax(folder / "ckpt-9", SAID, tmp_path / "named").origin
    assert latest is not None
    assert named is not None
    assert (latest.file, named.file) == ("ckpt-10.flax", "ckpt-9.flax")


def test_gzipped(file: Path, tmp_path: Path) -> None:
    zipped = tmp_path / "ckpt-7.flax.gz"
    zipped.write_bytes(gzip.compress(file.read_bytes(), 1))
    one, two = (import_flax(f, SAID, tmp_path / f.name[-1]) for f in (file, zipped))
    assert one.sha256 == two.sha256


def test_half_precision_is_widened(ema: Leaves, tmp_path: Path) -> None:
    half = {path: value.astype(np.float16) for path, value in ema.items()}
    import_flax(write(tmp_path / "f", half), SAID, tmp_path / "out")
    weight = load_checkpoint(tmp_path / "out").model.gamma.dense_1.weight
    assert weight.dtype == torch.float32
    np.testing.assert_array_equal(weight.numpy(), half["gamma/dense_1/kernel"].T)


def refusal(file: Path, said: dict[str, Any] = SAID, **options: Any) -> str:
    out = file.parent / "refused"
    with pytest.raises(CheckpointError) as caught:
        import_flax(file, said, out, **options)
    assert [path for path in file.parent.iterdir() if "refused" in path.name] == []
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(str(file))
    return line.removeprefix(f"{file}: ")


def damaged(leaf: str, value: NDArray[Any] | None, ema: Leaves) -> Leaves:
    rest = {path: array for path, array in ema.items() if path != leaf}
    return rest if value is None else rest | {leaf: value}


CONV = "score_model/down.block_1/conv1/kernel"
DENSE = "gamma/dense_2/bias"


@pytest.mark.parametrize(
    ("leaf", "change", "fault"),
    [
        (CONV, lambda _: None, f"leaf {CONV} is missing"),
        (DENSE, lambda _: None, f"leaf {DENSE} is missing"),
        (
            CONV,
            lambda value: value[:2],
            f"leaf {CONV} has shape (2, 3, 32, 32), expected (3, 3, 32, 32)",
        ),
        (
            "score_model/dense0/kernel",
            lambda value: value.T.copy(),
            "leaf score_model/dense0/kernel has shape (128, 39), expected (39, 128)",
        ),
        (DENSE, lambda value: value * np.float32("nan"), "has values that are not finite"),
        (DENSE, lambda value: value + np.float32("inf"), "has values that are not finite"),
        (DENSE, lambda value: value.astype(np.int32), "is int32, expected float32"),
        (DENSE, lambda value: value.astype(np.float64), "is float64, expected float32"),
        ("gamma/dense_out_a/kernel", lambda value: value[:, 1:], "gamma has 191 dimensions"),
        ("score_model/conv_in/kernel", lambda value: value[0], "expected 4 axes"),
        ("score_model/conv_in/kernel", lambda _: None, "conv_in/kernel is missing"),
        ("score_model/extra/kernel", lambda _: np.zeros(3, np.float32), "extra/kernel is unexp"),
        ("decoder/kernel", lambda _: np.zeros(3, np.float32), "decoder is unexpected"),
    ],
)
def test_a_leaf_that_is_wrong_is_named(
    ema: Leaves, tmp_path: Path, leaf: str, change: Any, fault: str
) -> None:
    leaves = damaged(leaf, change(ema.get(leaf)), ema)
    assert fault in refusal(write(tmp_path / "f", leaves))


def test_a_renamed_leaf(ema: Leaves, tmp_path: Path) -> None:
    renamed = {
        path.replace("down.block_1/conv1", "down.block_1/conv_1"): v for path, v in ema.items()
    }
    assert refusal(write(tmp_path / "f", renamed)) == (
        "leaf score_model/down.block_1/conv1/bias is missing"
    )


def test_a_name_cannot_stand_for_a_path(ema: Leaves, tmp_path: Path) -> None:
    """Else `a/b` beside `a` would take the place of a genuine leaf."""
    tree = nested(ema)
    tree["score_model"]["down.block_0/conv1"] = {"kernel": packed(np.zeros((3, 3, 32, 32)))}
    (tmp_path / "f").write_bytes(msgpack.packb({"ema_params": tree}))
    assert "expected a name, found 'down.block_0/conv1'" in refusal(tmp_path / "f")


@pytest.mark.parametrize("said", [{}, {"latent_k": 3}, {"parameterisation": "epsilon"}])
def test_what_the_shapes_do_not_show_must_be_said(
    file: Path, tmp_path: Path, said: dict[str, Any]
) -> None:
    copy = tmp_path / "f"
    copy.write_bytes(file.read_bytes())
    assert "the configuration must set" in refusal(copy, said)


@pytest.mark.parametrize(
    ("tree", "fault"),
    [
        ({"step": 1}, "no ema_params; this is not a MULAN checkpoint"),
        ({"ema_params": 7}, "no ema_params"),
        ({"ema_params": {"score_model": {"x": 1}}}, "score_model/x is int, not an array"),
        ({"ema_params": {}}, "encoder_model is missing"),
    ],
)
def test_other_files(tmp_path: Path, tree: Any, fault: str) -> None:
    (tmp_path / "f").write_bytes(msgpack.packb(tree))
    assert fault in refusal(tmp_path / "f")


def test_damage_on_the_way(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    for content, fault in (
        (whole[:-100], "the file ends in the middle"),
        (pickle.dumps({}), "this is a pickle, and pickles are never read"),
        (b"", "the file ends in the middle"),
    ):
        (tmp_path / "f").write_bytes(content)
        assert fault in refusal(tmp_path / "f")
    (tmp_path / "f").write_bytes(whole)
    assert "longer than the limit" in refusal(tmp_path / "f", max_bytes=len(whole) - 1)


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (SAID | {"width": 64}, "width is 32 by its shapes, the configuration says 64"),
        (SAID | {"depth": 3}, "depth is 2 by its shapes"),
        (SAID | {"latent_k": 9}, "latent_k 9"),
        (SAID | {"colour": 1}, "colour"),
        (SAID | {"fourier": (6,)}, "conv_in/kernel has shape (3, 3, 15, 32)"),
        (NAMED["cifar10"], "width is 32 by its shapes"),
    ],
)
def test_a_configuration_that_contradicts(
    file: Path, tmp_path: Path, said: dict[str, Any], fault: str
) -> None:
    copy = tmp_path / "f"
    copy.write_bytes(file.read_bytes())
    assert fault in refusal(copy, said)


def test_nothing_is_overwritten(file: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(CheckpointError, match="exists already"):
        import_flax(file, SAID, tmp_path / "out")


OFFICIAL = {
    "sm_n_embd": 32,
    "sm_n_layer": 2,
    "forward_n_layer": 1,
    "latent_size": 7,
    "latent_k": 3,
    "gamma_min": -13.3,
    "vocab_size": 256,
    "with_fourier_features": True,
    "gamma_type": "poly_fixedend",
    "vdm_type": "mulan_epsilon",
}


@pytest.mark.parametrize("form", ["flat", "nested", "ours", "toml"])
def test_configuration_files(file: Path, tmp_path: Path, form: str) -> None:
    nested_form = {"vdm_type": "mulan_epsilon", "model_config": OFFICIAL}
    path = tmp_path / f"config.{'toml' if form == 'toml' else 'json'}"
    text = {
        "flat": json.dumps(OFFICIAL),
        "nested": json.dumps(nested_form),
        "ours": CONFIG.model_dump_json(),
        "toml": 'parameterisation = "epsilon"\nlatent_k = 3\n',
    }[form]
    path.write_text(text)
    assert import_flax(file, read_settings(str(path)), tmp_path / "out").config == CONFIG


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "Expecting"),
        ("[1]", "expected a table of settings"),
        (json.dumps(OFFICIAL | {"vdm_type": "vdm"}), "vdm_type 'vdm' is not supported"),
        (json.dumps(OFFICIAL | {"unet_type": "x"}), "unet_type 'x' is not supported"),
    ],
)
def test_configuration_files_that_are_refused(tmp_path: Path, content: str, fault: str) -> None:
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(CheckpointError, match=fault):
        read_settings(str(tmp_path / "c.json"))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(CheckpointError, match=r"no configuration cifar; available: cifar10, imag"):
        read_settings("cifar")


def test_a_configuration_that_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(CheckpointError, match="not a regular file"):
        read_settings(str(tmp_path / "pipe.json"))


@pytest.mark.parametrize(
    ("velocity", "expected"), [(True, "velocity-from-epsilon"), (False, "velocity")]
)
def test_the_reading_of_a_velocity_network(tmp_path: Path, velocity: bool, expected: str) -> None:
    official = OFFICIAL | {"vdm_type": "mulan_velocity", "velocity_from_epsilon": velocity}
    (tmp_path / "c.json").write_text(json.dumps(official))
    assert read_settings(str(tmp_path / "c.json"))["parameterisation"] == expected


# A shell's background job ignores interrupts, and so would what it starts.
SLOW = """
import signal, sys, time
from models.checkpoints import flax_import
from models.cli import models

signal.signal(signal.SIGINT, signal.default_int_handler)

def save_weights(folder, config, tensors):
    (folder / "weights.safetensors").write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)

flax_import.save_weights = save_weights
models(sys.argv[1:])
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_import_leaves_nothing(
    tmp_path: Path, ema: Leaves, how: signal.Signals
) -> None:
    file, config = write(tmp_path / "f", ema), tmp_path / "c.json"
    config.write_text(json.dumps(SAID))
    arguments = ["import", str(file), "--config", str(config), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments], stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    process.send_signal(how)
    process.communicate(timeout=30)
    assert process.returncode == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.json", "f"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"--out": "file/x"}, "file/"),
        ({"--name": "Bad Name"}, "name 'Bad Name'"),
        ({"--out": "x" * 300}, "File name too long"),
        ({"--config": "deep.json"}, "deep.json: "),
        ({"--config": "wrong.json"}, "velocity_from_epsilon"),
        ({"CHECKPOINT": "pipe"}, "pipe: not a file"),
        ({"CHECKPOINT": "nothing"}, "nothing: no such file"),
        ({"CHECKPOINT": "."}, "no ckpt-N.flax in this folder"),
    ],
    ids=str,
)
def test_bad_arguments_are_one_line(
    tmp_path: Path,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str],
    fault: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    os.mkfifo("pipe")
    Path("deep.json").write_text("[" * 100_000)
    Path("wrong.json").write_text(json.dumps(OFFICIAL | {"velocity_from_epsilon": "no"}))
    Path("good.json").write_text(json.dumps(SAID))
    before = sorted(Path().iterdir())
    options = {"--config": "good.json", "--out": "out", "CHECKPOINT": str(file)} | changes
    checkpoint = options.pop("CHECKPOINT")
    words = [word for pair in options.items() for word in pair]
    handler = signal.getsignal(signal.SIGTERM)
    try:
        result = CliRunner().invoke(models, ["import", checkpoint, *words])
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert fault in line
    assert sorted(Path().iterdir()) == before
