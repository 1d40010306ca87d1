"""Checkpoints of people's own photographs, which have no classes, are tuned and carded too."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from test_sweep import BASELINES, BUDGETS, FEW

from models.cli import models
from models.evaluation.card import card
from models.evaluation.card.text import Evaluation
from models.evaluation.samples import classifier
from models.evaluation.samples.sweep import Tuning
from models.schema.manifest import read_manifest
from models.tuning import tune

RECIPE = """
name = "own"
[data]
source = "good"
split = { train = 20, density = 4, calibration = 12, test = 12 }
[preprocessing]
mode = "rgb"
size = { rule = "resize", height = 8, width = 12, filter = "box" }
tile = [8, 12]
stride = [8, 12]
[model]
image_shape = [8, 12, 3]
width = 8
depth = 1
encoder_depth = 1
groups = 4
latent_size = 4
latent_k = 1
fourier = [1]
schedule_width = 8
[optimisation]
steps = 3
batch_size = 4
"""


def run(*words: object) -> str:
    done = CliRunner().invoke(models, list(map(str, words)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_photographs_are_tuned_and_carded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dice = np.random.default_rng(0)
    (tmp_path / "good").mkdir()
    for number in range(48):
        levels = dice.integers(0, 80, (16, 24, 3)) + np.linspace(0, 170, 24)[:, None]
        Image.fromarray(levels.astype(np.uint8)).save(tmp_path / "good" / f"{number:02}.png")
    (tmp_path / "own.toml").write_text(RECIPE, encoding="utf-8")
    for module, name, value in (
        (classifier, "STEPS", 20), (tune, "SHAPES", FEW), (tune, "POWERS", (0.5,)),
        (tune, "BUDGETS", BUDGETS), (tune, "BASELINES", BASELINES), (tune, "LARGEST_PILOT", 3),
        (tune, "ADAPTING_IMAGES", 4), (card, "SHEET", 4), (card, "SOLVER_SHEET", 2),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    run("train", "own.toml", "--out", "own", "--threads", "1")
    run("tune", "own", "--data", "good", "--pilot", "16", "--images", "16", "--threads", "1")
    run("evaluate", "card", "own", "--data", "good", "--ode-images", "2", "--threads", "1")
    manifest = read_manifest(tmp_path / "own")
    assert Tuning.model_validate(manifest.tuning).sweep.features == "turns"
    found = Evaluation.model_validate(manifest.evaluation)
    assert found.recognition is None
    assert found.coders.images == found.schedule.images == 12
    text = (tmp_path / "own" / "README.md").read_text(encoding="utf-8")
    assert "tells how training images were turned" in text
    assert "takes the samples for" not in text
    with Image.open(tmp_path / "own" / "samples.png") as picture:
        assert picture.mode == "RGB"
    asked = CliRunner().invoke(models, ["evaluate", "recognition", "own", "--models", ".",
                                        "--data", "good", "--samples", "4"])  # fmt: skip
    assert asked.exit_code == 1
    assert "no classes are known of these images" in asked.output
