"""Draw what a verdict shows of generated photographs: docs/images/regions.png.

Photographs of good washers are made, a checkpoint is trained on them with the commands of
docs/your-own-images.md, and photographs of a scratched, a chipped and another good one are judged.

    python -m loadtests.washers docs/images
"""

import argparse
import base64
import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from loadtests.local import running_service

SIDE, GOOD = 192, 120
MINUTES = "0.7"
DAMAGES = ("scratched", "chipped", "none")
FORMS = ("true", "overlay")
WAIT_S = 120.0


def washer(seed: int, damage: str = "none") -> Image.Image:
    """Return a ring on a bright ground under a light from one side, in grey."""
    dice = np.random.default_rng(seed)
    y, x = (np.mgrid[:SIDE, :SIDE] - SIDE / 2) / (SIDE / 2)
    far, turn = np.hypot(y, x), np.arctan2(y, x)
    levels = 205 + 20 * x * dice.uniform(0.5, 1)
    ring = 95 + 35 * np.cos(turn - dice.uniform(-0.4, 0.4)) + 6 * np.cos(60 * far)
    outer = np.full_like(far, 0.8)
    if damage == "chipped":
        outer -= 0.22 * np.exp(-np.square((turn - 0.7) / 0.16))
    metal = (far < outer) & (far > 0.35)
    levels[metal] = ring[metal]
    if damage == "scratched":
        along, across = 0.8 * x + 0.6 * y, 0.6 * x - 0.8 * y
        levels[(np.abs(across + 0.42) < 0.022) & (np.abs(along) < 0.3)] += 75
    levels += dice.normal(0, 6, levels.shape)
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def train(folder: Path) -> Path:
    """Return the folder of a checkpoint that was trained on good washers and calibrated."""
    good, checkpoint = folder / "good", folder / "washer"
    good.mkdir()
    for seed in range(GOOD):
        washer(seed).save(good / f"{seed}.png")
    mulan = Path(sys.executable).with_name("mulan")
    options = ["--resize", "32x32", "--minutes", MINUTES, "--all", "--threads", "1"]
    command = [str(mulan), "models", "new", str(good), "--out", str(checkpoint), *options]
    subprocess.run(command, check=True)
    return checkpoint


def judge(address: str, photograph: Image.Image, form: str) -> dict[str, Any]:
    """Return the verdict on a photograph, with its heatmap in one form."""
    file = io.BytesIO()
    photograph.save(file, "PNG")
    answer = httpx.post(
        f"{address}/v1/anomalies",
        params={"model": "washer", "heatmap": form},
        headers={"Content-Type": "image/png"},
        content=file.getvalue(),
        timeout=WAIT_S,
    )
    (verdict,) = answer.raise_for_status().json()["results"]
    found: dict[str, Any] = verdict
    return found


def decoded(verdict: dict[str, Any]) -> NDArray[np.uint8]:
    """Return the pixels of a verdict's heatmap."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(verdict["heatmap"]))))


def draw(address: str, path: Path) -> None:
    """Draw each photograph, its heatmap, and its overlay with the regions."""
    figure, grid = plt.subplots(len(DAMAGES), 3, figsize=(7.2, 2.45 * len(DAMAGES)))
    for row, (axes, damage) in enumerate(zip(grid, DAMAGES, strict=True)):
        photograph = washer(1000 + row, damage)
        heat, over = (judge(address, photograph, form) for form in FORMS)
        for one, pixels in zip(axes, (photograph, decoded(heat), decoded(over)), strict=True):
            one.imshow(pixels, cmap="gray", vmin=0, vmax=255)
            one.set_axis_off()
        flagged = "flagged" if over["is_anomaly"] else "not flagged"
        axes[0].set_title(f"p = {over['p_value']:.3f}, {flagged}", fontsize=9)
        for place, region in enumerate(over["regions"]):
            corner, sides = (
                (region["x"] - 0.5, region["y"] - 0.5),
                (region["width"], region["height"]),
            )
            width = 0.6 if place else 2.0
            axes[2].add_patch(Rectangle(corner, *sides, fill=False, color="blue", linewidth=width))
        if over["regions"]:
            strangest = over["regions"][0]["p_value"]
            axes[2].set_title(f"strangest region p = {strangest:.3f}", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main() -> None:
    """Train, serve, judge and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        checkpoint = train(Path(place))
        with running_service("--threads", "1", "--models", str(checkpoint)) as address:
            draw(address, arguments.folder / "regions.png")


if __name__ == "__main__":
    main()
