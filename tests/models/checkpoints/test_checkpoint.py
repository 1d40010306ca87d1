"""Checkpoints: what is written is read back, and whatever is wrong with one is named in a line."""

import hashlib
import json
import os
import re
import shutil

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from models.checkpoints import checkpoint as checkpoint_module
from models.checkpoints.checkpoint import load_checkpoint, save_manifest, save_weights
from models.network.mulan import Mulan
from models.schema.errors import CheckpointError
from models.schema.manifest import (
    CONFIG_KEY,
    MANIFEST,
    MOST_BYTES,
    WEIGHTS,
    Manifest,
    read_manifest,
)
from models.schema.mulan import MulanConfig

CONFIG = MulanConfig(
    image_shape=(4, 4, 1),
    vocabulary=5,
    width=8,
    depth=1,
    encoder_depth=1,
    groups=4,
    latent_size=4,
    latent_k=1,
    fourier=(),
    schedule_width=4,
)
TENSOR = "score.conv_out.weight"


def write(folder):
    torch.manual_seed(0)
    model = Mulan(CONFIG)
    sha256 = save_weights(folder, CONFIG, model.state_dict())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    save_manifest(
        folder, Manifest(name="tiny", config=CONFIG, sha256=sha256, parameters=parameters)
    )
    return model


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound") / "tiny"
    write(folder)
    return folder


@pytest.fixture
def folder(sound, tmp_path):
    """A sound checkpoint to be damaged."""
    return shutil.copytree(sound, tmp_path / "tiny")


def edit_manifest(folder, **changes):
    document = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(document | changes))


def rewrite(folder, tensors, metadata):
    """Replace the weights and make the manifest's hash fit, so that only a closer look helps."""
    save_file(tensors, folder / WEIGHTS, metadata)
    edit_manifest(folder, sha256=hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest())


def refusal(folder):
    """The one line that refuses the checkpoint."""
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    line = str(caught.value)
    assert "\n" not in line
    assert str(folder) in line
    return line


def test_round_trip(tmp_path):
    model = write(tmp_path / "a" / "tiny")
    checkpoint = load_checkpoint(tmp_path / "a" / "tiny")
    expected = model.state_dict()
    assert checkpoint.model.state_dict().keys() == expected.keys()
    for name, tensor in checkpoint.model.state_dict().items():
        assert torch.equal(tensor, expected[name])
    assert checkpoint.manifest.config == checkpoint.model.config == CONFIG
    assert not checkpoint.model.training
    assert not any(parameter.requires_grad for parameter in checkpoint.model.parameters())


def test_the_same_weights_have_the_same_identity(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b")
    assert (tmp_path / "a" / WEIGHTS).read_bytes() == (tmp_path / "b" / WEIGHTS).read_bytes()
    sha256 = hashlib.sha256((tmp_path / "a" / WEIGHTS).read_bytes()).hexdigest()
    assert read_manifest(tmp_path / "a").sha256 == sha256
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [MANIFEST, WEIGHTS]


def change_tensors(folder, change):
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    rewrite(folder, tensors, {CONFIG_KEY: CONFIG.model_dump_json()})


def spoil(value):
    def change(tensors):
        tensors[TENSOR][0, 0, 0, 0] = value

    return change


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda tensors: tensors.pop(TENSOR), f"tensor {TENSOR} is missing"),
        (lambda tensors: tensors.update(other=torch.zeros(1)), "tensor other is unexpected"),
        (
            lambda tensors: tensors.update({TENSOR: torch.zeros(1, 8, 3, 2)}),
            f"tensor {TENSOR} has shape (1, 8, 3, 2), expected (1, 8, 3, 3)",
        ),
        (
            lambda tensors: tensors.update({TENSOR: tensors[TENSOR].double()}),
            f"tensor {TENSOR} is torch.float64, expected float32",
        ),
        (spoil(torch.nan), f"tensor {TENSOR} has values that are not finite"),
        (spoil(torch.inf), f"tensor {TENSOR} has values that are not finite"),
    ],
    ids=["missing", "unexpected", "misshapen", "wrong-type", "nan", "infinite"],
)
def test_a_wrong_tensor_is_named(folder, change, fault):
    change_tensors(folder, change)
    assert refusal(folder).endswith(fault)


def test_missing_weights(folder):
    (folder / WEIGHTS).unlink()
    assert refusal(folder) == f"{folder / WEIGHTS}: No such file or directory"


def test_missing_manifest(folder):
    (folder / MANIFEST).unlink()
    assert refusal(folder) == f"{folder}: no {MANIFEST}"


def test_missing_folder(tmp_path):
    assert refusal(tmp_path / "nothing").endswith(f"no {MANIFEST}")


def test_a_manifest_that_is_no_file(folder):
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).mkdir()
    assert str(folder / MANIFEST) in refusal(folder)


def test_weights_that_are_not_the_manifest_s(folder):
    edit_manifest(folder, sha256="0" * 64)
    assert re.search(r"SHA-256 is [0-9a-f]{64}, the manifest says 0{64}$", refusal(folder))


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_weights(folder, keep):
    """Whether or not somebody made the hash fit."""
    content = (folder / WEIGHTS).read_bytes()[:keep]
    (folder / WEIGHTS).write_bytes(content)
    assert str(folder / WEIGHTS) in refusal(folder)
    edit_manifest(folder, sha256=hashlib.sha256(content).hexdigest())
    assert str(folder / WEIGHTS) in refusal(folder)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_flipped_bit_is_noticed(folder, sound, data):
    content = bytearray((sound / WEIGHTS).read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    (folder / WEIGHTS).write_bytes(content)
    assert "SHA-256" in refusal(folder)


@pytest.mark.parametrize(
    "metadata",
    [
        {CONFIG_KEY: CONFIG.model_copy(update={"gamma_min": -9.0}).model_dump_json()},
        {CONFIG_KEY: '{"layers": 3}'},
        {CONFIG_KEY: "not JSON"},
        {"author": "somebody"},
        None,
    ],
    ids=["other", "foreign", "garbage", "absent", "no-metadata"],
)
def test_the_configuration_inside_the_weights_must_agree(folder, metadata):
    rewrite(folder, load_file(folder / WEIGHTS), metadata)
    assert refusal(folder).endswith("its configuration differs from the manifest's")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"colour": "blue"}, "colour: Extra inputs"),
        ({"format": 2}, "format: "),
        ({"name": "../up"}, "name: "),
        ({"sha256": "abc"}, "sha256: "),
        ({"parameters": 7}, "parameters, the manifest says 7"),
        ({"config": {"layers": 3}}, "config.layers: Extra inputs"),
        ({"config": CONFIG.model_dump(mode="json") | {"latent_k": 4}}, "config: latent_k 4"),
        ({"config": CONFIG.model_dump(mode="json") | {"width": "wide"}}, "config.width: "),
    ],
)
def test_a_wrong_manifest_field_is_named(folder, changes, fault):
    edit_manifest(folder, **changes)
    assert fault in refusal(folder)


@pytest.mark.parametrize("name", [MANIFEST, WEIGHTS])
@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir()]
)
def test_what_is_no_regular_file(folder, name, make):
    (folder / name).unlink()
    make(folder / name)
    assert re.search(r": (not a regular file|Is a directory)$", refusal(folder))


def test_links_to_files_are_followed(folder, tmp_path):
    for name in (MANIFEST, WEIGHTS):
        (folder / name).rename(tmp_path / name)
        (folder / name).symlink_to(tmp_path / name)
    assert load_checkpoint(folder).manifest.config == CONFIG


def test_a_manifest_past_its_size(folder):
    edit_manifest(folder, evaluation={"text": "x" * MOST_BYTES})
    assert refusal(folder) == f"{folder / MANIFEST}: more than {MOST_BYTES} bytes"


def test_weights_past_what_the_configuration_implies(folder):
    """A sparse file: nothing of it is read."""
    os.truncate(folder / WEIGHTS, 2**40)
    assert re.search(r"safetensors: more than \d{7} bytes$", refusal(folder))


def test_parameters_are_counted_before_the_weights_are_read(folder):
    (folder / WEIGHTS).unlink()
    edit_manifest(folder, parameters=10**12)
    assert "parameters, the manifest says 1000000000000" in refusal(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"depth": 10**8},
        {"width": 10**9, "groups": 2},
        {"image_shape": [10**9, 10**9, 1]},
        {"gamma_max": 1e308},
        {"latent_size": 10**9},
        {"schedule_width": 10**12},
    ],
)
def test_a_network_past_all_bounds_is_not_built(folder, monkeypatch, changes):
    def build(config):
        raise AssertionError("it was built")

    monkeypatch.setattr(checkpoint_module, "build", build)
    edit_manifest(folder, config=CONFIG.model_dump(mode="json") | changes)
    assert f"{MANIFEST}: config" in refusal(folder)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31m", "x" * 10**6])
def test_a_refusal_is_one_short_line_whatever_the_document_says(folder, name):
    edit_manifest(folder, **{name: 1})
    line = refusal(folder)
    assert line.isprintable()
    assert len(line) < 1000


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"name": "tiny"}'])
def test_a_malformed_manifest(folder, content):
    (folder / MANIFEST).write_bytes(content)
    assert str(folder / MANIFEST) in refusal(folder)
