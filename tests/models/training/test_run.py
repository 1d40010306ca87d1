"""From a recipe to a checkpoint folder: what it contains, and that it says how it was made."""

import numpy as np
import pytest
import torch
from tiny_recipe import TINY

from models.checkpoints.checkpoint import load_checkpoint
from models.files.images import digest, divide, fingerprint, load_tokens
from models.schema.errors import DataError, TrainingError
from models.schema.manifest import WEIGHTS
from models.training import run
from models.training.recipe import override, parse_recipe, read_recipe
from models.training.run import WORK, train
from models.training.trainer import WATCH_DRAWS, Trainer

CPU = torch.device("cpu")


def test_a_trained_folder_is_a_checkpoint(tiny, digits, tmp_path):
    manifest = train(tiny(), tmp_path / "tiny", CPU, "mulan models train tiny")
    checkpoint = load_checkpoint(tmp_path / "tiny")
    assert checkpoint.manifest == manifest
    assert not (tmp_path / "tiny" / WORK).exists()
    weights = Trainer(tiny(), *digits, CPU, tmp_path / "again").run().state_dict()
    for name, tensor in checkpoint.model.state_dict().items():
        assert torch.equal(tensor, weights[name])


def test_the_division_is_recorded(tiny, tmp_path):
    manifest = train(tiny(), tmp_path / "tiny", CPU, "mulan models train tiny")
    images = load_tokens("digits")
    parts = divide(len(images), TINY["data"]["split"], 0)
    assert manifest.data.sha256 == digest(images)
    assert manifest.data.split == {part: fingerprint(index) for part, index in parts.items()}
    assert manifest.training.steps == 11
    assert [entry["step"] for entry in manifest.training.history] == [4, 8, 11]
    assert manifest.training.held_out_draws == WATCH_DRAWS


def test_a_finished_run_is_not_trained_again(tiny, tmp_path, monkeypatch):
    manifest = train(tiny(), tmp_path, CPU, "mulan models train tiny")
    weights = (tmp_path / WEIGHTS).read_bytes()
    monkeypatch.setattr(run, "Trainer", lambda *_: pytest.fail("trained again"))
    assert train(tiny(), tmp_path, CPU, "the same again") == manifest
    with pytest.raises(TrainingError, match="another recipe"):
        train(tiny(steps=12), tmp_path, CPU, "")
    assert (tmp_path / WEIGHTS).read_bytes() == weights


def test_the_shipped_digits_recipe_is_determined_by_its_seed(tmp_path):
    recipe = read_recipe("digits")
    found = [
        train(override(recipe, optimisation={"steps": 3, "seed": seed}), tmp_path / name, CPU, "")
        for name, seed in (("one", 0), ("same", 0), ("other", 1))
    ]
    one, same, other = (manifest.sha256 for manifest in found)
    assert one == same != other


@pytest.fixture
def arrays(tmp_path):
    images = load_tokens("digits")
    np.save(tmp_path / "some.npy", images[:150])
    np.save(tmp_path / "others.npy", images[200:240])
    return tmp_path


def recipe_of(arrays, **data):
    split = {"train": 100, "density": 40}
    source = {"source": str(arrays / "some.npy"), "split": split}
    return parse_recipe(TINY | {"data": source | data}, "recipe")


def test_separate_test_images(arrays):
    recipe = recipe_of(arrays, test_source=str(arrays / "others.npy"))
    data = train(recipe, arrays / "out", CPU, "").data
    assert (data.source, data.test_source) == ("some.npy", "others.npy")
    assert data.test_sha256 == digest(load_tokens(str(arrays / "others.npy")))
    assert data.split["test"] == fingerprint(np.arange(40))
    assert str(arrays) not in (arrays / "out" / "manifest.json").read_text()


@pytest.mark.parametrize("which", ["source", "test_source"])
@pytest.mark.parametrize(
    ("images", "fault"),
    [
        (np.zeros((150, 9, 8, 1), np.uint8), "images are (9, 8, 1), the model's (8, 8, 1)"),
        (np.full((150, 8, 8, 1), 17, np.uint8), "value 17, the vocabulary ends at 16"),
    ],
)
def test_images_that_do_not_fit(arrays, which, images, fault):
    """Refused before any training."""
    np.save(arrays / "bad.npy", images)
    recipe = recipe_of(arrays, **{which: str(arrays / "bad.npy")})
    with pytest.raises(DataError, match=r"bad\.npy") as caught:
        train(recipe, arrays / "out", CPU, "")
    assert str(caught.value).endswith(fault)
    assert not (arrays / "out").exists()
