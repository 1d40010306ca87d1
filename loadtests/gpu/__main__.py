"""Measure all that this project claims about GPUs, by one command, on a machine that has one.

The network has the official CIFAR-10 size and random weights, in float32 without TF32, and for
samples in bfloat16 as well. Measured are the network's calls in each runtime; images by DDPM in
1000 steps and in 20 evaluations, and likelihoods, through the engine; the share of a bare loop's
rate that the engine and the whole service reach; how busy the device is; and whether a row's bytes
depend on its neighbours. The figures go to a JSON file and a Markdown table, both named after the
device.

    python -m loadtests.gpu --out docs/benchmarks
    python -m loadtests.gpu --device cpu --tiny --seconds 0.2

The second command measures nothing of interest. It runs every line of the first in a minute, and so
shows that the first will run.
"""

import argparse
import json
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from loadtests.gpu import measures
from loadtests.gpu.place import Place, build, runtimes
from loadtests.gpu.report import markdown
from models.checkpoints.official import NAMED
from models.runtimes.runtime import Precision
from models.runtimes.versions import torch_version
from models.runtimes.warmup import warm_up
from models.schema.mulan import MulanConfig

TINY = MulanConfig(
    image_shape=(8, 8, 1),
    vocabulary=17,
    width=16,
    depth=1,
    encoder_depth=1,
    groups=4,
    latent_size=6,
    latent_k=2,
    gamma_min=-7.9,
    schedule_width=8,
)


def measured(place: Place, tick: int) -> Iterator[dict[str, Any]]:
    """Yield all figures so far, with what they are of, after each measurement; those that may take
    longest come last."""
    _, exact, rounded = runtimes(place.model)
    warm = [warm_up(place.model, tick, runtime) for runtime in (exact, rounded)]
    found: dict[str, Any] = {
        "device": place.name,
        "build": torch_version(place.device),
        "host": f"{platform.machine()}, {platform.python_version()}",
        "parameters": sum(parameter.numel() for parameter in place.model.parameters()),
        "tick": tick,
        "quantum": {denoiser.runtime.precision: denoiser.quantum for denoiser in warm},
        "network": [],
        "engine": [],
        "image_bytes_equal": {},
    }
    with torch.no_grad():
        for figure in measures.network(place):
            found["network"].append(figure)
            yield found
        for denoiser in warm:
            found["engine"] += measures.sampling(place, denoiser, tick)
            yield found
            equal = measures.same_bytes(place, denoiser)
            found["image_bytes_equal"][denoiser.runtime.precision] = equal
            yield found
        for precision, rate in bare_rates(found).items():
            found["engine"].append(measures.service(place, precision, rate))
            yield found
        found["engine"] += measures.scoring(place, warm[0], tick)
        yield found
        found["score_difference_nats"] = measures.score_difference(place, warm[0])
        yield found


def bare_rates(figures: dict[str, Any]) -> dict[Precision, float]:
    """Return the row-evaluations per second of the bare loop in each precision."""
    return {
        precision: one["bare_row_evaluations_per_s"]
        for precision in figures["quantum"]
        for one in figures["engine"]
        if one["kind"].endswith(precision)
    }


def written(figures: dict[str, Any], folder: Path) -> str:
    """Write both files, and return the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    name = folder / ("gpu-" + re.sub(r"[^a-z0-9]+", "-", figures["device"].lower()))
    name.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    table = markdown(figures)
    name.with_suffix(".md").write_text(table)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--tiny", action="store_true", help="a tiny network, to try the script")
    parser.add_argument("--seconds", type=float, default=4.0, help="of one measurement")
    parser.add_argument("--tick", type=int, default=128, help="price of the engine's tick")
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the two files")
    arguments = parser.parse_args()
    config = TINY if arguments.tiny else MulanConfig.model_validate(NAMED["cifar10"])
    place = Place(build(config, torch.device(arguments.device)), arguments.seconds)
    table = ""
    # A loan may end before the last figure.
    for figures in measured(place, arguments.tick):
        table = written(figures, arguments.out)
    print(table)


if __name__ == "__main__":
    main()
