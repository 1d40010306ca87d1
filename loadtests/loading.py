"""Measure the memory that loading a checkpoint takes at its peak, in sizes of its weights file.

The checkpoint has random weights and small images, so that the weights are what counts. It is
loaded by each runtime in a process of its own, which has loaded a tiny one before.

    python -m loadtests.loading
"""

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import cast

import torch

from loadtests.processes import resident_mb
from models.checkpoints.checkpoint import load_checkpoint, save_manifest, save_weights
from models.checkpoints.onnx_export import make_graphs
from models.files.shelf import find
from models.network.mulan import Mulan
from models.runtimes.choice import RuntimeName, Wish
from models.schema.manifest import WEIGHTS, Manifest
from models.zoo import ZOO
from service.loading import load_beside

WIDTHS = (128,)
RUNTIMES: tuple[RuntimeName, ...] = ("eager", "onnx")
CPU, ROWS = torch.device("cpu"), 64


def write(folder: Path, width: int) -> None:
    """Write a checkpoint of this width, with its graphs."""
    _, shipped = find("digits")
    config = shipped.config.model_copy(update={"width": width})
    torch.manual_seed(0)
    tensors = Mulan(config).state_dict()
    sha256 = save_weights(folder, config, tensors)
    save_manifest(
        folder,
        Manifest(
            name=folder.name,
            config=config,
            sha256=sha256,
            parameters=sum(tensor.numel() for tensor in tensors.values()),
        ),
    )
    make_graphs(load_checkpoint(folder), folder)


def measure(folder: Path, runtime: RuntimeName, found: "multiprocessing.Queue[float]") -> None:
    """Load the checkpoint, and tell the seconds, and the MB before, at the peak and after."""
    torch.set_num_threads(1)
    wish = Wish(runtime, threads=1)
    kept = [load_beside([CPU], ZOO / "digits", ROWS, wish)]
    own = multiprocessing.current_process().pid
    assert own is not None
    before = resident_mb(own)
    # The highest so far is forgotten.
    Path("/proc/self/clear_refs").write_text("5")
    began = time.perf_counter()
    kept.append(load_beside([CPU], folder, ROWS, wish))
    seconds = time.perf_counter() - began
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1e3 * 1.024
    for value in (seconds, before, peak, resident_mb(own)):
        found.put(value)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    context = multiprocessing.get_context("spawn")
    print("runtime    weights    loaded in    peak beside before    left      peak / weights")
    with tempfile.TemporaryDirectory() as root:
        for width in WIDTHS:
            folder = Path(root) / f"width-{width}"
            write(folder, width)
            size = (folder / WEIGHTS).stat().st_size / 1e6
            for runtime in RUNTIMES:
                found = cast("multiprocessing.Queue[float]", context.Queue())
                process = context.Process(target=measure, args=(folder, runtime, found))
                process.start()
                seconds, before, peak, after = (found.get(timeout=900) for _ in range(4))
                process.join()
                print(
                    f"{runtime:7} {size:8.0f} MB {seconds:9.1f} s {peak - before:15.0f} MB "
                    f"{after - before:12.0f} MB {(peak - before) / size:11.1f}"
                )


if __name__ == "__main__":
    main()
