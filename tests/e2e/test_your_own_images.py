"""The commands of docs/your-own-images.md, on a small set of generated photographs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from loadtests.local import running_service
from models.training.recipe_text import reference

pytestmark = pytest.mark.xdist_group("service")

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "your-own-images.md"
TIMEOUT = 600


def washer(seed: int, scratched: bool = False) -> Image.Image:
    """A ring on a bright ground, seen with a little noise."""
    dice = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16] - 7.5
    far = np.hypot(y, x)
    levels = np.where((far < 6.5) & (far > 2.5), 70.0, 220.0)
    if scratched:
        levels[6:9, :] = dice.integers(0, 255, (3, 16))
    return Image.fromarray((levels + dice.normal(0, 5, far.shape)).clip(0, 255).astype(np.uint8))


def put(folder: Path, seeds: range, scratched: bool = False) -> None:
    folder.mkdir()
    for seed in seeds:
        washer(seed, scratched).save(folder / f"{seed}.png")


def test_every_command_of_the_page(tmp_path: Path) -> None:
    put(tmp_path / "good", range(42))
    put(tmp_path / "bad", range(100, 105), scratched=True)
    put(tmp_path / "later", range(200, 230))
    put(tmp_path / "good-2", range(300, 305))
    washer(400).convert("RGB").resize((16, 16)).save(tmp_path / "photograph.jpg", quality=95)
    commands = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}

    def run(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True,
            timeout=TIMEOUT,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stderr.decode()}"
        return done.stdout.decode()

    *workshop, request = commands
    assert len(workshop) == 4
    texts = [run(command.replace("--minutes 20", "--minutes 0.1")) for command in workshop]
    assert "42 photographs (42 PNG L); 42 of 16x16" in texts[0]
    assert "of 5 defects, missed" in texts[2]
    assert "calibrated on 10 + 20 good pictures" in texts[3]
    with running_service(
        "--threads", "1", "--models", str(tmp_path / "washer"), log=tmp_path / "log"
    ) as address:
        answer = json.loads(
            run(request.replace("http://127.0.0.1:8000", address).replace("-s", "-sS --fail"))
        )
    (verdict,) = answer["results"]
    assert verdict["status"] == "ok"
    assert verdict["p_value"] >= 1 / 21
    assert all(box["p_value"] >= 1 / 21 for box in verdict["regions"])
    assert answer["applied"]["rule"]["tile"] == [16, 16]
    assert answer["settings"]["calibration_images"] == 20


def test_every_key_of_a_recipe_is_documented() -> None:
    assert reference() in (DOCS / "recipes.md").read_text(encoding="utf-8")
