"""Measure what a verdict on one photograph of 550x380 pixels costs, seen as a whole and in tiles.

Photographs of washers are generated, and a checkpoint of each kind is made of them with a few steps
of training, because weights do not change the cost; or it is measured on checkpoints that are
there. The service, on one thread, judges one photograph after another.

    python -m loadtests.picture_cost [FOLDER ...]
"""

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from loadtests.local import running_process
from loadtests.processes import peak_mb, resident_mb, spent_s
from loadtests.washers import washer
from models.schema.manifest import read_manifest
from models.schema.preprocessing import Size

SIZE, GOOD = (550, 380), 44
WAYS = (("--resize", "32x48"), ("--scale", "0.25", "--tile", "32x32"))
FORMS = ("false", "overlay")
WARM = 3
WAIT_S, READY_S = 120.0, 300.0


class Cost(NamedTuple):
    """The cost of one verdict."""

    evaluations: int
    seconds: float
    processor_s: float
    resident_mb: float
    peak_mb: float


def photograph(seed: int, damage: str = "none") -> bytes:
    """Return a washer in colour as a PNG."""
    file = io.BytesIO()
    washer(seed, damage).resize(SIZE).convert("RGB").save(file, "PNG")
    return file.getvalue()


def make(folder: Path) -> Iterator[Path]:
    """Yield a calibrated checkpoint of each kind, made of generated photographs."""
    mulan, good = str(Path(sys.executable).with_name("mulan")), folder / "good"
    good.mkdir()
    for seed in range(GOOD):
        (good / f"{seed}.png").write_bytes(photograph(seed))
    options = ["--mode", "rgb", "--minutes", "0.1", "--threads", "1", "--all"]
    for number, way in enumerate(WAYS):
        out = folder / f"way-{number}"
        command = [mulan, "models", "new", str(good), "--out", str(out), *way, *options]
        subprocess.run(command, check=True)
        yield out


def described(checkpoint: Path) -> str:
    """Return how a checkpoint sees the photograph."""
    rule = read_manifest(checkpoint).preprocessing
    assert rule is not None
    tile, count = Size(*rule.tile), rule.tiles(Size(*SIZE[::-1]))
    return f"whole, at {tile}" if count == 1 else f"in {count} tiles of {tile}"


def measure(checkpoint: Path, form: str, times: int) -> Cost:
    """Judge a photograph `times` times, with the heatmap in one form."""
    options = ("--threads", "1", "--models", str(checkpoint))
    with running_process(*options, ready_within_s=READY_S) as (address, pid):

        def judge() -> dict[str, Any]:
            answer = httpx.post(
                f"{address}/v1/anomalies",
                params={"model": checkpoint.name, "heatmap": form},
                headers={"Content-Type": "image/png"},
                content=content,
                timeout=WAIT_S,
            )
            (verdict,) = answer.raise_for_status().json()["results"]
            found: dict[str, Any] = verdict
            return found

        content, seconds = photograph(1000, "scratched"), list[float]()
        for _ in range(WARM):
            verdict = judge()
        before, idle = spent_s(pid), resident_mb(pid)
        for _ in range(times):
            began = time.perf_counter()
            judge()
            seconds.append(time.perf_counter() - began)
        spent = (spent_s(pid) - before) / times
        return Cost(verdict["nfe"], statistics.median(seconds), spent, idle, peak_mb(pid))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoints", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--times", type=int, default=20)
    wanted = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for checkpoint in wanted.checkpoints or make(Path(place)):
            for form in FORMS:
                cost = measure(checkpoint, form, wanted.times)
                shown = "" if form == "false" else f", heatmap {form}"
                rows.append(
                    f"| {described(checkpoint)}{shown} | {cost.evaluations} | {cost.seconds:.3f} | "
                    f"{cost.processor_s:.3f} | {cost.resident_mb:.0f} | {cost.peak_mb:.0f} |"
                )
    print("| photograph | evaluations | seconds | processor s | resident MB | peak MB |")
    print("|---|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
