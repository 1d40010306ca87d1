"""Pictures of a checkpoint for its card."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot
from tqdm import tqdm

from models.data import Tokens
from models.denoiser import Denoiser
from models.network import data_to_tokens
from models.sampling import sample_problem
from models.solve import solve
from models.solvers import SAMPLERS
from models.specs import SamplerSpec

matplotlib.use("agg")
FIGURE_INCHES = (7.0, 3.6)
DOTS_PER_INCH = 110


def draw_samples(
    denoiser: Denoiser,
    spec: SamplerSpec,
    count: int,
    seed: int,
    device: torch.device,
    batch: int = 64,
) -> Tokens:
    """Images 0..count-1 of a request with `seed`, tokens `[count, H, W, C]`."""
    solver = SAMPLERS[spec.name]
    parts = []
    total = solver.evaluations(spec)
    for indices in torch.split(torch.arange(count, device=device), batch):
        problem = sample_problem(denoiser, spec, seed, indices)
        with tqdm(total=total, desc=f"{spec.name}, {len(indices)} images") as bar:
            state = solve(solver, problem, denoiser, bar.update)
        x = solver.sample(problem, state).x
        parts.append(data_to_tokens(x, denoiser.config).permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(parts)


def training_curve(history: Sequence[dict[str, float]], path: Path) -> None:
    """Negative ELBO of the batches and of the held-out images, and the latent's KL, over steps."""
    steps = [entry["step"] for entry in history]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=FIGURE_INCHES, layout="constrained")
    left.plot(steps, [entry["total"] for entry in history], label="training batches")
    left.plot(steps, [entry["held_out"] for entry in history], label="held out, averaged weights")
    left.set(xlabel="step", ylabel="negative ELBO, bits/dim")
    left.legend(frameon=False)
    right.plot(steps, [entry["latent"] for entry in history], label="KL of z to its prior")
    # Earlier trainings did not record it.
    if all("information" in entry for entry in history):
        told = [entry["information"] for entry in history]
        right.plot(steps, told, label="what z tells of an image")
    right.set(xlabel="step", ylabel="nats")
    right.legend(frameon=False)
    figure.savefig(path, dpi=DOTS_PER_INCH)
    pyplot.close(figure)
