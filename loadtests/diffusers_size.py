"""Import, load and use a diffusers network of the size of google/ddpm-cifar10-32 on this machine.

The script saves that configuration with random weights, and takes it through `mulan models import
--diffusers`, load, one sample and one likelihood in a few steps, each in a process of its own whose
time and peak memory it prints.

    python -m loadtests.diffusers_size
"""

import argparse
import multiprocessing
import tempfile
from pathlib import Path

import torch
from diffusers import DDPMScheduler, UNet2DModel

from loadtests.official_size import load_it, measured
from models.checkpoints.checkpoint import load_checkpoint
from models.checkpoints.diffusers_import import import_diffusers
from models.runtimes.eager import eager_denoiser
from models.schema.specs import Adams, Ddim
from models.solvers import sampler_of
from models.solvers.adams import AdamsSolver
from models.work.likelihood import score_problem
from models.work.sampling import sample_problem
from models.work.solve import solve

SHAPE = (1, 3, 32, 32)
DRAWING, SCORING = 9, 10


def write_pipeline(folder: Path) -> None:
    """Save the configuration of google/ddpm-cifar10-32 with random weights."""
    network = UNet2DModel(
        sample_size=32,
        flip_sin_to_cos=False,
        freq_shift=1,
        block_out_channels=(128, 256, 256, 256),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        downsample_padding=0,
        attention_head_dim=None,
        norm_eps=1e-6,
    )
    network.save_pretrained(folder / "unet")
    DDPMScheduler(variance_type="fixed_large").save_pretrained(folder / "scheduler")


def import_it(pipeline: Path, folder: Path) -> str:
    manifest, _ = import_diffusers(pipeline, folder)
    size = (pipeline / "unet" / "diffusion_pytorch_model.safetensors").stat().st_size
    return f"{manifest.parameters:,} parameters from {size / 1e6:.0f} MB"


def sample_it(_: Path, folder: Path) -> str:
    denoiser = eager_denoiser(load_checkpoint(folder).model, quantum=1)
    solver = sampler_of("ddim", denoiser.config)
    problem = sample_problem(denoiser, Ddim(steps=DRAWING), 0, torch.arange(1))
    sample = solver.sample(problem, solve(solver, problem, denoiser))
    finite = bool(sample.x.isfinite().all())
    return f"one image by DDIM, {int(sample.nfe[0])} evaluations, finite: {finite}"


def score_it(_: Path, folder: Path) -> str:
    denoiser = eager_denoiser(load_checkpoint(folder).model, quantum=1)
    solver, tokens = AdamsSolver(SCORING), torch.zeros(SHAPE, dtype=torch.uint8)
    problem = score_problem(denoiser, tokens, Adams(probes=1), 0, 1)
    density = solver.density(problem, solve(solver, problem, denoiser))
    finite = bool(density.log_det.isfinite().all())
    return f"one likelihood, {int(density.nfe[0])} right-hand sides, finite: {finite}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        pipeline, folder = Path(scratch) / "pipeline", Path(scratch) / "cifar10"
        write_pipeline(pipeline)
        print("| step | outcome | seconds | peak memory beyond the imports, MB |")
        print("|---|---|---|---|", flush=True)
        spawn = multiprocessing.get_context("spawn")
        for step in (import_it, load_it, sample_it, score_it):
            given = step, pipeline, folder, arguments.threads
            child = spawn.Process(target=measured, args=given)
            child.start()
            child.join()
            if child.exitcode:
                raise SystemExit(child.exitcode)


if __name__ == "__main__":
    main()
