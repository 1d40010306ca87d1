"""Images by any sampler, outside the service."""

import sys
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from models.data import Tokens
from models.denoiser import Denoiser
from models.network import data_to_tokens
from models.sampling import sample_problem
from models.solve import solve
from models.solvers import SAMPLERS
from models.specs import SamplerSpec


class Drawn(NamedTuple):
    """Tokens `[N, H, W, C]`; and for each image its evaluations and the share of proposals
    accepted, NaN for a method that has none, `[N]`."""

    tokens: Tokens
    evaluations: Tensor
    acceptance_rate: Tensor


def draw_samples(
    denoiser: Denoiser,
    spec: SamplerSpec,
    count: int,
    seed: int,
    device: torch.device,
    batch: int = 64,
) -> Drawn:
    """Images 0..count-1 of a request with `seed`."""
    solver = SAMPLERS[spec.name]
    tokens, found = [], []
    parts = torch.split(torch.arange(count, device=device), batch)
    total = len(parts) * spec.evaluations
    with tqdm(total=total, desc=f"{spec.name}, {count} images", file=sys.stderr) as bar:
        for indices in parts:
            problem = sample_problem(denoiser, spec, seed, indices)
            sample = solver.sample(problem, solve(solver, problem, denoiser, bar.update))
            images = data_to_tokens(sample.x, denoiser.config).permute(0, 2, 3, 1)
            tokens.append(images.cpu().numpy())
            found.append(torch.stack([sample.nfe.double(), sample.acceptance_rate.double()]).cpu())
    evaluations, acceptance = torch.cat(found, dim=1)
    return Drawn(np.concatenate(tokens), evaluations, acceptance)
