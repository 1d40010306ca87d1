"""From a recipe to a checkpoint folder: what it contains, and that it says how it was made."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_recipe import TINY

from models.checkpoints.checkpoint import load_checkpoint
from models.files.images import digest, divide, fingerprint, load_tokens
from models.schema.errors import DataError, MissingExtraError, TrainingError
from models.schema.manifest import MANIFEST, WEIGHTS
from models.training import run
from models.training.curve import CURVE
from models.training.recipe import override, parse_recipe, read_recipe
from models.training.run import WORK, train
from models.training.samples import SAMPLES
from models.training.trainer import WATCH_DRAWS, Trainer

CPU = torch.device("cpu")


def test_a_trained_folder_is_a_checkpoint(tiny, digits, tmp_path):
    manifest = train(tiny(), tmp_path / "tiny", CPU, "mulan models train tiny")
    checkpoint = load_checkpoint(tmp_path / "tiny")
    assert checkpoint.manifest == manifest
    with Image.open(tmp_path / "tiny" / WORK / SAMPLES) as sheet:
        assert sheet.width > 128
    weights = Trainer(tiny(), *digits, CPU, tmp_path / "again").run().state_dict()
    for name, tensor in checkpoint.model.state_dict().items():
        assert torch.equal(tensor, weights[name])


def test_the_curve_is_drawn_anew_at_every_look(tiny, tmp_path, monkeypatch):
    seen = []
    save = run.save_manifest

    def look(folder, manifest):
        save(folder, manifest)
        seen.append((folder / WORK / CURVE).read_bytes())

    monkeypatch.setattr(run, "save_manifest", look)
    train(tiny(), tmp_path, CPU, "")
    assert len({*seen}) == 3
    with Image.open(tmp_path / WORK / CURVE) as picture:
        assert picture.width > picture.height > 300


def test_training_goes_on_without_the_package_that_draws_the_curve(tiny, tmp_path, monkeypatch):
    load = run.extras.module

    def missing(name):
        if name == "models.training.curve":
            raise MissingExtraError("matplotlib is not installed")
        return load(name)

    monkeypatch.setattr(run.extras, "module", missing)
    assert train(tiny(), tmp_path, CPU, "").training.steps == 11
    assert (tmp_path / WORK / SAMPLES).exists()
    assert not (tmp_path / WORK / CURVE).exists()


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
    assert train(tiny(steps=9), tmp_path, CPU, "fewer steps") == manifest
    with pytest.raises(TrainingError, match="another recipe"):
        train(tiny(seed=1), tmp_path, CPU, "")
    assert (tmp_path / WEIGHTS).read_bytes() == weights


def test_a_run_that_is_stopped_keeps_a_checkpoint_and_goes_on(tiny, tmp_path):
    """It stops after a step at which nothing was due, and ends as if it had not been stopped."""
    asked = iter([False] * 6 + [True])
    stopped = train(tiny(), tmp_path, CPU, "", lambda: next(asked))
    assert stopped.training.steps == 6
    assert [entry["step"] for entry in stopped.training.history] == [4, 6]
    assert load_checkpoint(tmp_path).manifest == stopped
    whole = train(tiny(), tmp_path, CPU, "")
    assert whole.training.steps == 11
    assert whole.sha256 == train(tiny(), tmp_path / "straight", CPU, "").sha256 != stopped.sha256


def test_a_run_that_is_stopped_at_once(tiny, tmp_path):
    with pytest.raises(TrainingError, match="before the first step"):
        train(tiny(), tmp_path / "out", CPU, "", lambda: True)
    assert not (tmp_path / "out" / MANIFEST).exists()


def test_a_finished_run_is_prolonged(tiny, tmp_path):
    first = train(tiny(), tmp_path, CPU, "")
    longer = train(tiny(steps=15), tmp_path, CPU, "")
    assert [entry["step"] for entry in longer.training.history] == [4, 8, 11, 12, 15]
    assert longer.training.history[:3] == first.training.history
    assert longer.sha256 != first.sha256
    shutil.rmtree(tmp_path / WORK)
    with pytest.raises(TrainingError, match="was trained for 15 steps, and its folder training"):
        train(tiny(steps=16), tmp_path, CPU, "")


def test_the_best_weights_are_kept_where_they_are_asked_for(tiny, tmp_path, monkeypatch):
    held_out = iter([3.0, 2.0, 2.5])
    monkeypatch.setattr(Trainer, "_watch", lambda self: next(held_out))
    kept = train(tiny(keep="best"), tmp_path / "best", CPU, "")
    assert (kept.training.steps, kept.training.kept_step) == (11, 8)
    held_out = iter([3.0, 2.0])
    stops = iter([False] * 8 + [True])
    until = train(tiny(), tmp_path / "until", CPU, "", lambda: next(stops))
    assert (until.training.steps, until.training.kept_step) == (8, None)
    assert kept.sha256 == until.sha256
    assert load_checkpoint(tmp_path / "best").manifest == kept


def test_a_kill_between_save_and_checkpoint_costs_nothing(tiny, tmp_path):
    manifest = train(tiny(), tmp_path, CPU, "")
    (tmp_path / MANIFEST).unlink()
    assert train(tiny(), tmp_path, CPU, "").sha256 == manifest.sha256


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


def test_training_begins_with_the_weights_of_a_checkpoint(tiny, tmp_path):
    first = train(tiny(), tmp_path / "first", CPU, "")
    still = tiny(steps=1, learning_rate=1e-12, seed=1)
    second = train(still, tmp_path / "second", CPU, "", start=tmp_path / "first")
    assert second.training.started_from == first.sha256
    before, after = (load_checkpoint(tmp_path / one).model for one in ("first", "second"))
    for name, tensor in after.state_dict().items():
        torch.testing.assert_close(tensor, before.state_dict()[name], atol=1e-6, rtol=0)


def test_a_run_that_began_with_weights_goes_on_with_the_same_only(tiny, tmp_path):
    train(tiny(), tmp_path / "first", CPU, "")
    train(tiny(seed=1), tmp_path / "other", CPU, "")
    out = tmp_path / "second"
    begun = train(tiny(seed=2), out, CPU, "", start=tmp_path / "first")
    assert train(tiny(seed=2), out, CPU, "", start=tmp_path / "first") == begun
    longer = tiny(seed=2, steps=13)
    for start in (None, tmp_path / "other"):
        with pytest.raises(
            TrainingError, match=f"began with the weights {begun.training.started_from}"
        ):
            train(longer, out, CPU, "", start=start)
    assert train(longer, out, CPU, "", start=tmp_path / "first").training.steps == 13


def test_training_begins_only_with_the_weights_of_the_same_network(tiny, tmp_path):
    train(tiny(), tmp_path / "first", CPU, "")
    wider = override(tiny(), model={"width": 2 * tiny().model.width})
    with pytest.raises(TrainingError, match="the same network"):
        train(wider, tmp_path / "second", CPU, "", start=tmp_path / "first")
    assert not (tmp_path / "second").exists()
