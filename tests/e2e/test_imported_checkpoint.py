"""An official checkpoint becomes a judge of photographs, by the commands of the documents."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from official_file import CONFIG, leaves_of, write
from PIL import Image

from loadtests.local import running_service

pytestmark = pytest.mark.xdist_group("service")

TIMEOUT = 600
GOOD = 32
SETTINGS = '{"parameterisation": "epsilon", "latent_k": 3}'


def photograph(seed: int, damaged: bool = False) -> bytes:
    """A coloured disc on a bright ground, in another size than the model's images, as a JPEG."""
    dice = np.random.default_rng(seed)
    y, x = np.mgrid[:30, :40] - np.array([15, 20])[:, None, None]
    levels = np.where(np.hypot(y, x)[..., None] < 10, [180, 60, 40], [230, 230, 220])
    if damaged:
        levels[:, 12:28] = dice.integers(0, 255, (30, 16, 3))
    pixels = (levels + dice.normal(0, 5, levels.shape)).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return file.getvalue()


def mulan(*words: object) -> str:
    command = [Path(sys.executable).with_name("mulan"), "models", *words]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_imported_checkpoint_judges_photographs(tmp_path: Path) -> None:
    leaves = {path: 0.05 * value for path, value in leaves_of(CONFIG, 1).items()}
    file = write(tmp_path / "ckpt-7.flax", leaves)
    (tmp_path / "settings.json").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "good").mkdir()
    for seed in range(GOOD):
        (tmp_path / "good" / f"{seed}.jpg").write_bytes(photograph(seed))
    folder = tmp_path / "official"
    mulan("import", file, "--config", tmp_path / "settings.json", "--out", folder)
    assert f"next: mulan models calibrate {folder} --normal GOOD" in mulan("prepare", folder)
    told = mulan("calibrate", folder, "--normal", tmp_path / "good", "--threads", "1")
    assert "calibrated on 10 + 22 good pictures, of which 0 of the second failed" in told
    assert "not recorded which pictures this checkpoint was trained on" in told
    options = ("--threads", "1", "--models", str(folder))
    with running_service(*options, ready_within_s=TIMEOUT) as address:

        def judge(content: bytes) -> dict[str, Any]:
            answer = httpx.post(
                f"{address}/v1/anomalies",
                params={"model": "official"},
                headers={"Content-Type": "image/jpeg"},
                content=content,
                timeout=TIMEOUT,
            )
            found: dict[str, Any] = answer.raise_for_status().json()
            return found

        usual, strange = judge(photograph(100)), judge(photograph(101, damaged=True))
    assert usual["applied"]["rule"]["size"]["rule"] == "resize"
    assert usual["settings"]["calibration_images"] == GOOD - 10
    (good,), (bad,) = usual["results"], strange["results"]
    assert good["status"] == bad["status"] == "ok"
    assert bad["score"] > good["score"]
    assert (bad["is_anomaly"], bad["p_value"]) == (True, pytest.approx(1 / 23))
