"""A card has everything measured, drawn and written down."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from models.checkpoints.checkpoint import load_checkpoint, save_manifest
from models.cli import evaluate
from models.cli.actions import evaluate_checkpoint as actions
from models.evaluation.card import card
from models.evaluation.card.card import write_card
from models.evaluation.card.text import Evaluation
from models.evaluation.recorded_data import RecordedData
from models.evaluation.samples import classifier
from models.evaluation.samples.recognition import real_images
from models.files.images import digest, fingerprint, load_tokens
from models.runtimes.eager import eager_denoiser
from models.schema.manifest import Manifest, read_manifest
from models.schema.presets import UNTUNED
from models.solvers import SAMPLERS


@pytest.fixture(scope="module")
def carded(
    small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Manifest, Path]:
    folder = tmp_path_factory.mktemp("carded") / "small"
    shutil.copytree(small_checkpoint, folder)
    checkpoint = load_checkpoint(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(card, "JUDGED", 20)
        patch.setattr(card, "SHEET", 9)
        patch.setattr(card, "SOLVER_SHEET", 2)
        patch.setattr(classifier, "STEPS", 60)
        manifest = write_card(
            folder,
            checkpoint,
            eager_denoiser(checkpoint.model),
            real_images(RecordedData(checkpoint.manifest)),
            images=30,
            ode_images=3,
        )
    return manifest, folder


def test_every_figure_is_in_the_manifest_and_the_checkpoint_is_as_it_was(
    carded: tuple[Manifest, Path], small_checkpoint: Path
) -> None:
    manifest, folder = carded
    assert read_manifest(folder) == manifest
    found = Evaluation.model_validate(manifest.evaluation)
    assert (found.likelihood.elbo.images, found.likelihood.ode.images) == (30, 3)
    assert found.coders.images == 30
    assert found.schedule.images == found.recognition.test_images == 300
    before = read_manifest(small_checkpoint)
    assert manifest.model_copy(update={"evaluation": {}}) == before


def test_every_picture_the_card_shows_is_there(carded: tuple[Manifest, Path]) -> None:
    manifest, folder = carded
    text = (folder / "README.md").read_text(encoding="utf-8")
    shown = [piece.split(")")[0] for piece in text.split("](")[1:]]
    assert {f"samples-{name}.png" for name in SAMPLERS} < set(shown)
    sheets = Evaluation.model_validate(manifest.evaluation).sheets or []
    assert [spec.name for spec in sheets] == list(SAMPLERS)
    assert sorted(shown) == sorted(path.name for path in folder.glob("*.png"))
    for name in shown:
        with Image.open(folder / name) as picture:
            picture.verify()


def test_the_card_says_what_was_found(carded: tuple[Manifest, Path]) -> None:
    manifest, folder = carded
    text = (folder / "README.md").read_text(encoding="utf-8")
    found = Evaluation.model_validate(manifest.evaluation)
    for figure in (
        found.likelihood.elbo.bound,
        found.likelihood.ode.paper,
        found.coders.webp,
        found.recognition.sample_confidence,
    ):
        assert str(figure) in text
    assert manifest.sha256 in text
    assert "mulan models train small --out DIR" in text


def test_the_figures_are_found_again(carded: tuple[Manifest, Path]) -> None:
    """The command takes as many images as the card did."""
    manifest, folder = carded
    command = ["likelihood", "small", "--models", str(folder.parent), "--json"]
    printed = CliRunner().invoke(evaluate, command, catch_exceptions=False)
    assert json.loads(printed.stdout) == manifest.evaluation["likelihood"]


def test_recognition_alone(carded: tuple[Manifest, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    _, folder = carded
    monkeypatch.setattr(classifier, "STEPS", 60)
    command = ["recognition", "small", "--models", str(folder.parent), "--samples", "5"]
    printed = CliRunner().invoke(evaluate, command, catch_exceptions=False)
    assert "| samples | 5 |" in printed.stdout
    assert "| test images | 300 |" in printed.stdout
    best = CliRunner().invoke(evaluate, [*command, "--preset", "best", "--json"])
    assert json.loads(best.stdout)["sampler"] == UNTUNED["best"].model_dump(mode="json")


@pytest.mark.parametrize("command", [["recognition", "small", "--models"], ["card"]])
def test_missing_images_are_found_before_anything_is_drawn(
    command: list[str], small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint has its test images, but its training images are a file that is missing."""
    manifest = read_manifest(small_checkpoint)
    test = load_tokens("digits", 17)
    assert manifest.data is not None
    split = manifest.data.split | {"test": fingerprint(np.arange(len(test)))}
    record = {"source": "gone.npy", "test_source": "digits", "test_sha256": digest(test)}
    data = manifest.data.model_copy(update=record | {"split": split})
    shutil.copytree(small_checkpoint, tmp_path / "small")
    save_manifest(tmp_path / "small", manifest.model_copy(update={"data": data}))
    for module, name in (
        (card, "draw_samples"),
        (card, "evaluate_likelihood"),
        (actions, "warm_up"),
    ):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("too early"))
    folder = tmp_path if "--models" in command else tmp_path / "small"
    ran = CliRunner().invoke(evaluate, [*command, str(folder)])
    assert ran.exit_code == 1
    assert "gone.npy" in ran.output
