"""Commands on a checkpoint with classes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from tiny_classes import CLASSES, CONFIG, write_checkpoint

from models.anomaly.kept import read_calibration
from models.checkpoints.checkpoint import load_checkpoint
from models.cli import models
from models.loaded import load
from models.schema.errors import CheckpointError
from models.schema.manifest import read_manifest

SHORT = ("--score", "path", "--steps", "2", "--fresh", "1", "--threads", "1")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("zoo")
    write_checkpoint(root / "classy")
    dice = np.random.default_rng(0)
    np.save(root / "normal.npy", dice.integers(0, 256, (60, 8, 8, 1), np.uint8))
    return root


def run(*words: object) -> Result:
    return CliRunner().invoke(models, [str(word) for word in words])


def test_the_list_tells_the_number_of_classes(root: Path) -> None:
    (entry,) = json.loads(run("list", "--models", root, "--json").stdout)["checkpoints"]
    assert entry["classes"] == CLASSES
    assert "5 classes" in run("list", "--models", root).stdout


def test_a_calibration_is_of_one_class(root: Path) -> None:
    normal = root / "normal.npy"
    for more in (), ("--class-label", CLASSES):
        refused = run("calibrate", root / "classy", "--normal", normal, *SHORT, *more)
        assert refused.exit_code == 1
        (line,) = refused.stderr.splitlines()
        assert "classy has classes: say by --class-label, 0 to 4, which one" in line
    made = run("calibrate", root / "classy", "--normal", normal, "--class-label", 3, *SHORT)
    assert made.exit_code == 0, made.output
    manifest = read_manifest(root / "classy")
    found = read_calibration(root / "classy", manifest)
    assert found is not None
    assert found.solver.class_label == 3
    assert "--class-label 3 " in found.command
    for label, words in ((None, "the class None"), (CLASSES, "the class 5")):
        solver = found.solver.model_copy(update={"class_label": label})
        other = found.model_copy(update={"solver": solver})
        (root / "other").mkdir(exist_ok=True)
        (root / "other" / "calibration.json").write_text(other.model_dump_json())
        with pytest.raises(CheckpointError, match=words):
            read_calibration(root / "other", manifest)


def test_the_classes_of_a_loaded_checkpoint_are_named(root: Path) -> None:
    model = load(root / "classy", "float64")
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 1))
    tokens = np.zeros((2, 8, 8, 1), np.uint8)
    one, other = (model.epsilon(x, 0.5, np.eye(CLASSES)[[label, label]]) for label in (0, 1))
    assert np.abs(one - other).max() > 1e-3
    with pytest.raises(ValueError, match=r"latents are \(2, 0\), not \[rows, 5\]"):
        model.epsilon(x, 0.5, np.zeros((2, 0)))
    calls: list[Any] = [
        lambda: model.latent(tokens),
        lambda: model.elbo(tokens, 0.5, x, x),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="give the class as a one-hot latent"):
            call()
    named = model.elbo(tokens, 0.5, x, x, np.eye(CLASSES)[[2, 2]])
    assert np.isfinite(named.total).all()
    assert load_checkpoint(root / "classy").manifest.config == CONFIG
