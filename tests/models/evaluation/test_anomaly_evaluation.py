"""Calibrating a checkpoint and measuring its verdicts, by the commands."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from models.anomaly.calibration import Calibration
from models.anomaly.conformal import FAILED
from models.anomaly.kept import read_calibration
from models.anomaly.level_calibration import LevelCalibration
from models.anomaly.ranked import CALIBRATION, Verdict
from models.anomaly.statistics import FITTED, TYPICALITY
from models.cli import models
from models.evaluation.anomalies.evaluate import AnomalyEvaluation, evaluate_anomalies, strangeness
from models.evaluation.anomalies.plots import roc_curves, score_histograms
from models.schema.manifest import read_manifest
from models.schema.specs import FlowPath, Levels

CHEAP = ["--score", "path", "--steps", "6", "--fresh", "4"]
REPORTED = (*FITTED, TYPICALITY)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(models, [*arguments, "--threads", "1"], catch_exceptions=False)


@pytest.fixture(scope="module")
def calibrated(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibrated") / "small"
    shutil.copytree(small_checkpoint, folder)
    printed = run("calibrate", str(folder), *CHEAP, "--json")
    assert printed.exit_code == 0, printed.output
    assert json.loads(printed.stdout) == json.loads((folder / CALIBRATION).read_text())
    return folder


@pytest.fixture(scope="module")
def evaluated(calibrated: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    out = tmp_path_factory.mktemp("out")
    noise = out / "noise.npy"
    np.save(noise, np.random.default_rng(0).integers(0, 17, (30, 8, 8, 1), dtype=np.uint8))
    sets = ["--abnormal", "inverted", "--abnormal", str(noise)]
    printed = run(
        "evaluate", "anomalies", "--model", str(calibrated), *sets, "--images", "60",
        "--out", str(out), "--json",
    )  # fmt: skip
    assert printed.exit_code == 0, printed.output
    return json.loads(printed.stdout), out


def test_a_calibration_says_what_it_was_made_of(calibrated: Path) -> None:
    manifest = read_manifest(calibrated)
    found = read_calibration(calibrated, manifest)
    assert isinstance(found, Calibration)
    assert found.checkpoint == manifest.sha256
    assert (found.solver.steps, found.solver.fresh, found.solver.probes) == (6, 4, 1)
    assert found.solver.probing == "fresh"
    assert found.density_images.images == found.calibration_images.images == 40
    assert found.density_images.sha256 != found.calibration_images.sha256
    assert "calibrate small --images 2000 --seed 0 --score path" in found.command
    assert found.command.endswith(" --steps 6 --fresh 4 --probes 1 --probing fresh")


def test_probes_may_stay_the_same_as_in_calibrations_from_before(
    small_checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "small"
    shutil.copytree(small_checkpoint, folder)
    assert run("calibrate", str(folder), *CHEAP, "--probing", "fixed").exit_code == 0
    found = read_calibration(folder, read_manifest(folder))
    assert isinstance(found, Calibration)
    assert found.solver == FlowPath(steps=6, fresh=4)
    assert "probing" not in json.loads((folder / CALIBRATION).read_text())["solver"]


def test_calibrating_again_gives_the_same(calibrated: Path, small_checkpoint: Path) -> None:
    before = (calibrated / CALIBRATION).read_bytes()
    run("calibrate", str(calibrated), *CHEAP)
    assert (calibrated / CALIBRATION).read_bytes() == before


def test_by_default_it_is_by_levels_and_says_what_it_can_see(
    small_checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "small"
    shutil.copytree(small_checkpoint, folder)
    printed = run("calibrate", str(folder), "--levels", "3")
    assert printed.exit_code == 0, printed.output
    found = read_calibration(folder, read_manifest(folder))
    assert isinstance(found, LevelCalibration)
    assert found.solver == Levels(levels=3)
    assert "calibrate small --images 2000 --seed 0 --score levels --levels 3" in found.command
    assert found.power.summary in printed.stdout
    assert "| scratch | 50 | " in printed.stdout
    assert ("warning: this calibration hardly sees" in printed.stderr) == found.power.blind
    table = run("evaluate", "anomalies", "--model", str(folder), "--abnormal", "inverted")
    for name in ("score", "defect", "rarity", "level_3", "codec_bits"):
        assert f"| {name} | " in table.stdout


def test_the_evaluation_has_every_statistic_with_its_intervals(evaluated: tuple[Any, Path]) -> None:
    record, _ = evaluated
    found = AnomalyEvaluation.model_validate(record)
    assert (found.normal.name, found.normal.images, found.normal.failed) == ("test", 60, 0)
    assert [one.images for one in found.abnormal] == [60, 30]
    noise = found.abnormal[1].separations
    assert {"score", "log_px_given_z", "typicality", "excess_bits"} < set(noise)
    for split in noise.values():
        for interval in (split.auroc, split.aupr, split.fpr95):
            assert 0 <= interval.low <= interval.high <= 1
        # Where it is low, an AUPR drawn again is higher: its interval may miss it.
        assert split.auroc.low <= split.auroc.value <= split.auroc.high
    assert noise["score"].auroc.value > 0.9
    assert found.abnormal[1].flagged.mean > 0.5
    assert found.normal.flagged.mean < 0.3


def test_the_pictures_are_drawn(evaluated: tuple[Any, Path]) -> None:
    for name in ("roc.png", "scores.png"):
        with Image.open(evaluated[1] / name) as picture:
            assert picture.width > 300


def test_the_tables_name_every_set(calibrated: Path) -> None:
    printed = run(
        "evaluate", "anomalies", "--model", str(calibrated), "--images", "20",
        "--abnormal", "rotated", "--changed-pixels", "5",
    )  # fmt: skip
    assert "rotated:" in printed.stdout
    assert "of 5 images with one changed pixel the heatmap is hottest there in" in printed.stdout
    assert "of 20 test images flagged at alpha 0.05" in printed.stdout
    assert "| score | " in printed.stdout


def test_what_cannot_be_measured_is_refused(calibrated: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "wide.npy", np.zeros((9, 28, 28), np.uint8))
    command = ["evaluate", "anomalies", "--model", str(calibrated)]
    for more, words in (
        (["--abnormal", str(tmp_path / "wide.npy")], "images are (28, 28, 1)"),
        (["--alpha", "0.01"], "1/(m + 1) = 0.0244"),
        (["--alpha", "1"], "alpha"),
        (["--abnormal", "test"], "test cannot be normal and abnormal"),
    ):
        printed = run(*command, *more)
        assert printed.exit_code != 0
        assert words in printed.output


def test_weights_that_were_trained_on_refuse_the_calibration(
    calibrated: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    shutil.copytree(calibrated, folder)
    document = json.loads((folder / CALIBRATION).read_text())
    (folder / CALIBRATION).write_text(json.dumps(document | {"checkpoint": "f" * 64}))
    command = ["evaluate", "anomalies", "--model", str(folder)]
    printed = run(*command)
    assert printed.exit_code == 1
    assert "belongs to the weights ffffffffffff" in printed.output
    (folder / CALIBRATION).unlink()
    assert "see mulan models calibrate" in run(*command).output


def test_failed_images_are_the_strangest_by_every_statistic() -> None:
    failures = [Verdict(1 / 41, reason="not finite")] * 3
    for column in strangeness(failures, REPORTED).values():
        assert column.tolist() == [FAILED] * 3
    solved = strangeness([Verdict(0.5, 1.0, dict.fromkeys(REPORTED, 2.0))], REPORTED)
    assert solved.keys() == strangeness(failures, REPORTED).keys()


def test_sets_that_failed_whole_are_drawn_and_measured(calibrated: Path, tmp_path: Path) -> None:
    calibration = Calibration.model_validate_json((calibrated / CALIBRATION).read_bytes())
    failures = [Verdict(1 / 41, reason="not finite")] * 3
    found = evaluate_anomalies(calibration, ("test", failures), {"odd": failures})
    assert found.abnormal[0].separations["score"].auroc.value == 0.5
    scores = strangeness(failures, REPORTED)
    roc_curves(scores, {"odd": scores}, tmp_path / "roc.png")
    score_histograms(scores, {"odd": scores}, tmp_path / "s.png")
