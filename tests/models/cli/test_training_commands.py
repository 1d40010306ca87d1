"""`mulan models train` and `mulan models evaluate ablation`, by a recipe in a file."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from models.checkpoints.checkpoint import load_checkpoint
from models.cli import models
from models.schema.manifest import MANIFEST

RECIPE = """
name = "smaller"

[data]
source = "digits"
split = { train = 100, density = 20, test = 30 }

[model]
image_shape = [8, 8, 1]
vocabulary = 17
width = 8
depth = 1
encoder_depth = 1
groups = 4
fourier = [1]
latent_size = 5
latent_k = 1
schedule_width = 8
gamma_min = -7.9
patch = 2

[optimisation]
steps = 50
batch_size = 32
held_out_every = 2
"""


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "smaller.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return str(path)


def called(*words: object) -> Result:
    result = CliRunner().invoke(models, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result


def told(*words: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(called(*words, "--json").stdout)
    return found


def test_train_makes_a_checkpoint_and_says_which(recipe: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["train", recipe, "--out", out, "--steps", 3, "--seed", 4]
    record = told(*command)
    manifest = load_checkpoint(out).manifest
    assert record == {"name": "smaller", "sha256": manifest.sha256, "folder": str(out), "steps": 3}
    assert manifest.training is not None
    assert (manifest.training.steps, manifest.training.seed) == (3, 4)
    recorded = manifest.training.command
    assert "--out DIR --device cpu --steps 3 --seed 4 --threads" in recorded
    assert str(tmp_path) not in (out / MANIFEST).read_text(encoding="utf-8")
    again = called(*command)
    assert again.stdout.endswith(f"{manifest.sha256}, already trained\n")


def test_train_says_at_once_that_it_can_write_nothing(recipe: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(models, ["train", recipe, "--out", str(tmp_path / "file" / "x")])
    assert result.exit_code == 1
    assert "cannot be made: Not a directory" in result.output
    assert "step" not in result.output


def test_train_begins_with_the_weights_that_it_is_given(recipe: str, tmp_path: Path) -> None:
    first = told("train", recipe, "--out", tmp_path / "first", "--steps", 1)
    told("train", recipe, "--out", tmp_path / "second", "--steps", 1, "--from", tmp_path / "first")
    training = load_checkpoint(tmp_path / "second").manifest.training
    assert training is not None
    assert training.started_from == first["sha256"]
    assert "--steps 1 --from first --threads" in training.command


def test_ablation_trains_its_arms_and_prints_what_it_writes(recipe: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    record = told(
        "evaluate", "ablation", recipe, "--out", out,
        "--seeds", 2, "--steps", 2, "--images", 10,
    )  # fmt: skip
    assert record == json.loads((out / "ablation.json").read_bytes())
    assert (record["steps"], record["images"]) == (2, 10)
    assert [arm["name"] for arm in record["arms"]] == ["fixed", "multivariate", "learned"]
    for arm in record["arms"]:
        folders = [out / f"{arm['name']}-{seed}" for seed in (0, 1)]
        found = [load_checkpoint(folder).manifest.sha256 for folder in folders]
        assert [run["sha256"] for run in arm["runs"]] == found


def test_ablation_trains_the_arms_that_are_asked_for(recipe: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    printed = called(
        "evaluate", "ablation", recipe, "--out", out,
        "--seeds", 1, "--steps", 2, "--images", 10, "--arm", "multivariate",
    ).stdout  # fmt: skip
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == [
        "fixed-0",
        "multivariate-0",
    ]
    assert printed.count("| multivariate |") == 2
