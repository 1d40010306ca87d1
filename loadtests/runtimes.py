"""Measure every runtime of this machine on the shipped checkpoints, and print the table.

Processor time of a call through the denoiser, padding included, in milliseconds and beside eager
float32's; the runtimes alternate. `start` is the processor time until a runtime has answered once,
`eps` and `vjps` are the largest relative differences from eager float32 in a quarter of t.

    python -m loadtests.runtimes
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from models.checkpoints.checkpoint import load_checkpoint
from models.files.shelf import find
from models.network.network import Network
from models.rows.rows import Condition, Query, take
from models.runtimes.denoiser import NetworkDenoiser
from models.runtimes.eager import EagerRuntime
from models.runtimes.gate import compare
from models.runtimes.onnx import OnnxRuntime
from models.runtimes.runtime import Runtime
from models.runtimes.warmup import warm_up

MODELS = "digits", "mnist", "fashion-mnist"
SIZES = 1, 8, 16, 32, 64
PROBES = 2


class Started(NamedTuple):
    """A runtime that is ready, and the processor time that it took."""

    label: str
    denoiser: NetworkDenoiser
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"| | {' | '.join(map(str, SIZES))} | quantum | start, s | eps | vjps |")
    print("|---|" + "---|" * (len(SIZES) + 4))
    for name in arguments.models:
        for line in lines(name, arguments.repeats):
            print(line, flush=True)


def lines(name: str, repeats: int) -> Iterator[str]:
    """Yield the rows of one checkpoint's table."""
    folder = find(name)[0]
    model = load_checkpoint(folder).model
    started = list(runtimes(model, folder))
    eager = started[0].denoiser
    for probes in 0, PROBES:
        fit = [one for one in started if not probes or one.denoiser.runtime.precision == "float32"]
        costs = {size: measure(fit, size, probes, repeats) for size in SIZES}
        for index, (label, denoiser, seconds) in enumerate(fit):
            cells = [
                f"{found[index]:.1f} ({found[index] / found[0]:.2f})" for found in costs.values()
            ]
            pulls = denoiser.runtime.precision == "float32"
            off = compare(denoiser, eager, pulls=pulls)
            errors = [f"{max(part):.0e}" if part and index else "" for part in off]
            what = f"{name}, {label}" + (f", {probes} vjps" if probes else "")
            rest = [str(denoiser.quantum), f"{seconds:.2f}", *errors]
            yield f"| {' | '.join([what, *cells, *rest])} |"


def runtimes(model: Network, folder: Path) -> Iterator[Started]:
    """Yield the runtimes of the CPU, eager float32 first."""
    builders: dict[str, Callable[[], Runtime]] = {
        "eager": lambda: EagerRuntime(model),
        "eager bfloat16": lambda: EagerRuntime(model, "bfloat16"),
        "onnx": lambda: OnnxRuntime(model, folder),
    }
    for label, build in builders.items():
        began = time.process_time()
        runtime = build()
        query, condition = questions(NetworkDenoiser(model, runtime), 1, PROBES)
        if runtime.precision == "bfloat16":
            query = query._replace(cotangents=None)
        NetworkDenoiser(model, runtime).evaluate(query, condition)
        seconds = time.process_time() - began
        yield Started(label, warm_up(model, max(SIZES), runtime), seconds)


def measure(started: list[Started], rows: int, probes: int, repeats: int) -> list[float]:
    """Return the milliseconds of processor time of each runtime's call."""
    query, condition = questions(started[0].denoiser, rows, probes)
    taken: list[list[float]] = [[] for _ in started]
    for _ in range(repeats + 1):
        for times, (_, denoiser, _) in zip(taken, started, strict=True):
            began = time.process_time()
            denoiser.evaluate(query, condition)
            times.append(1e3 * (time.process_time() - began))
    return [statistics.median(times[1:]) for times in taken]


def questions(denoiser: NetworkDenoiser, rows: int, probes: int) -> tuple[Query, Condition]:
    """Return noise at times all over [0, 1]."""
    config, draws = denoiser.config, torch.Generator().manual_seed(0)
    latent = torch.zeros(1, config.latent_size)
    latent[:, : config.latent_k] = 1
    condition = take(denoiser.condition(latent), torch.zeros(rows, dtype=torch.int64))
    x = torch.randn(rows, *config.chw, generator=draws)
    cotangents = torch.randn(rows, probes, *config.chw, generator=draws) if probes else None
    return Query(x, torch.linspace(0.02, 0.98, rows, dtype=torch.float64), cotangents), condition


if __name__ == "__main__":
    main()
