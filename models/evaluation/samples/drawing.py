"""Images by any sampler, outside the service."""

import hashlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from models.files.folders import write_atomically
from models.files.images import Tokens
from models.network.pixels import data_to_tokens
from models.rows.denoiser import Denoiser
from models.schema.specs import SamplerSpec
from models.solvers import sampler_of
from models.work.sampling import sample_problem
from models.work.solve import solve


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
    solver = sampler_of(spec.name, denoiser.config)
    tokens, found = [], []
    parts = torch.split(torch.arange(count, device=device), batch)
    total = len(parts) * (spec.evaluations + denoiser.config.closing_evaluations)
    with tqdm(total=total, desc=f"{spec.name}, {count} images", file=sys.stderr) as bar:
        for indices in parts:
            problem = sample_problem(denoiser, spec, seed, indices)
            sample = solver.sample(
                problem, solve(solver, problem, denoiser, lambda _: bar.update())
            )
            images = data_to_tokens(sample.x, denoiser.config).permute(0, 2, 3, 1)
            tokens.append(images.cpu().numpy())
            found.append(torch.stack([sample.nfe.double(), sample.acceptance_rate.double()]).cpu())
    evaluations, acceptance = torch.cat(found, dim=1)
    return Drawn(np.concatenate(tokens), evaluations, acceptance)


@dataclass(frozen=True)
class Drawings:
    """The draws of one checkpoint. With a `folder`, every set of images is kept there and taken
    from there again, so that a long comparison that was killed goes on."""

    denoiser: Denoiser
    checkpoint: str
    device: torch.device
    folder: Path | None = None

    def draw(self, spec: SamplerSpec, count: int, seed: int) -> Drawn:
        """Images 0..count-1 of a request with `seed`."""
        if self.folder is None:
            return draw_samples(self.denoiser, spec, count, seed, self.device)
        name = json.dumps([self.checkpoint, spec.model_dump(), count, seed], sort_keys=True)
        path = self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.npz"
        if path.exists():
            with np.load(path) as kept:
                rates = torch.from_numpy(kept["evaluations"]), torch.from_numpy(kept["acceptance"])
                return Drawn(kept["tokens"], *rates)
        drawn = draw_samples(self.denoiser, spec, count, seed, self.device)
        file = io.BytesIO()
        np.savez_compressed(
            file,
            tokens=drawn.tokens,
            evaluations=drawn.evaluations.numpy(),
            acceptance=drawn.acceptance_rate.numpy(),
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, file.getvalue())
        return drawn
