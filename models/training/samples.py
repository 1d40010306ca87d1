"""A picture of samples, drawn while a model trains."""

from pathlib import Path

import torch

from models.files.folders import write_atomically
from models.files.pictures import contact_sheet
from models.network.network import Network
from models.network.pixels import data_to_tokens
from models.runtimes.eager import eager_denoiser
from models.schema.specs import Dpm2m
from models.solvers import SAMPLERS
from models.work.sampling import sample_problem
from models.work.solve import solve

SAMPLES = "samples.png"
COUNT, STEPS, SEED = 16, 20, 0


@torch.no_grad()
def save_samples(model: Network, folder: Path, device: torch.device) -> None:
    """Draw samples of a model, always with the same noise, into `samples.png` in `folder`."""
    spec, denoiser = Dpm2m(steps=STEPS), eager_denoiser(model)
    solver = SAMPLERS[spec.name]
    problem = sample_problem(denoiser, spec, SEED, torch.arange(COUNT, device=device))
    sample = solver.sample(problem, solve(solver, problem, denoiser))
    tokens = data_to_tokens(sample.x, model.config).permute(0, 2, 3, 1).cpu().numpy()
    if model.config.image_shape[2] in (1, 3):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / SAMPLES, contact_sheet(tokens, model.config.vocabulary))
