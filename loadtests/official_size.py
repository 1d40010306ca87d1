"""Import, load and use a checkpoint of the official CIFAR-10 size on this machine.

The script writes a Flax file of random weights with its four copies of the parameters, and takes it
through `mulan models import`, load, two DDPM steps and one step of the likelihood's ODE, each in a
process of its own whose time and peak memory it prints.

    python -m loadtests.official_size
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgpack
import numpy as np
import torch

from models.checkpoints.checkpoint import load_checkpoint
from models.checkpoints.flax_import import import_flax
from models.checkpoints.flax_names import official_path, official_shape
from models.checkpoints.official import NAMED
from models.network.mulan import Mulan
from models.runtimes.eager import eager_denoiser
from models.schema.mulan import MulanConfig
from models.schema.specs import Adams, Ddpm
from models.solvers import SAMPLERS
from models.solvers.adams import AdamsSolver
from models.work.likelihood import score_problem
from models.work.sampling import sample_problem
from models.work.solve import solve

COPIES = ("params", "ema_params", "mu", "nu")
SPREAD = 0.02


def write_flax(path: Path, config: MulanConfig) -> None:
    """Write a random checkpoint file, leaf by leaf."""
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in Mulan(config).state_dict().items()}
    leaves = {official_path(name): name for name in shapes}
    draws, packer = np.random.default_rng(0), msgpack.Packer()
    with path.open("wb") as file:
        file.write(packer.pack_map_header(len(COPIES)))
        for copy in COPIES:
            file.write(packer.pack(copy))
            _write_tree(file.write, packer, leaves, shapes, draws, "")


def _write_tree(
    write: Callable[[bytes], object],
    packer: msgpack.Packer,
    leaves: dict[str, str],
    shapes: dict[str, tuple[int, ...]],
    draws: np.random.Generator,
    prefix: str,
) -> None:
    inside = [path for path in leaves if path.startswith(prefix)]
    keys = sorted({path.removeprefix(prefix).split("/")[0] for path in inside})
    write(packer.pack_map_header(len(keys)))
    for key in keys:
        write(packer.pack(key))
        path = prefix + key
        if path not in leaves:
            _write_tree(write, packer, leaves, shapes, draws, f"{path}/")
            continue
        shape = official_shape(path, shapes[leaves[path]])
        value = SPREAD * draws.standard_normal(shape, dtype=np.float32)
        payload = (list(shape), "float32", value.astype(np.float32).tobytes())
        write(packer.pack(msgpack.ExtType(1, msgpack.packb(payload))))


def import_it(file: Path, folder: Path) -> str:
    manifest = import_flax(file, NAMED["cifar10"], folder)
    return f"{manifest.parameters:,} parameters from {file.stat().st_size / 1e6:.0f} MB"


def load_it(_: Path, folder: Path) -> str:
    return load_checkpoint(folder).manifest.sha256[:12]


def sample_it(_: Path, folder: Path) -> str:
    denoiser, spec = eager_denoiser(load_checkpoint(folder).model, quantum=1), Ddpm(steps=2)
    solver = SAMPLERS[spec.name]
    problem = sample_problem(denoiser, spec, 0, torch.arange(1))
    x = solver.sample(problem, solve(solver, problem, denoiser)).x
    return f"one image by 2 DDPM steps, finite: {bool(x.isfinite().all())}"


def score_it(_: Path, folder: Path) -> str:
    denoiser, solver = eager_denoiser(load_checkpoint(folder).model, quantum=1), AdamsSolver(1)
    tokens = torch.zeros((1, 3, 32, 32), dtype=torch.uint8)
    problem = score_problem(denoiser, tokens, Adams(probes=1), 0, 1)
    density = solver.density(problem, solve(solver, problem, denoiser))
    finite = bool(density.log_det.isfinite().all())
    return f"one image by {int(density.nfe[0])} right-hand sides, finite: {finite}"


def measured(step: Callable[[Path, Path], str], file: Path, folder: Path, threads: int) -> None:
    torch.set_num_threads(threads)
    before, start = _peak_mb(), time.perf_counter()
    outcome = step(file, folder)
    seconds = time.perf_counter() - start
    name, memory = step.__name__.removesuffix("_it"), _peak_mb() - before
    print(f"| {name} | {outcome} | {seconds:.1f} | {memory:.0f} |", flush=True)


def _peak_mb() -> float:
    """Return the largest resident size of this process so far, as Linux reports it."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    config = MulanConfig.model_validate(NAMED["cifar10"])
    with tempfile.TemporaryDirectory() as scratch:
        file, folder = Path(scratch) / "ckpt-1.flax", Path(scratch) / "cifar10"
        write_flax(file, config)
        print("| step | outcome | seconds | peak memory beyond the imports, MB |")
        print("|---|---|---|---|", flush=True)
        spawn = multiprocessing.get_context("spawn")
        for step in (import_it, load_it, sample_it, score_it):
            child = spawn.Process(target=measured, args=(step, file, folder, arguments.threads))
            child.start()
            child.join()
            if child.exitcode:
                raise SystemExit(child.exitcode)


if __name__ == "__main__":
    main()
