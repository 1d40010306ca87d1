"""The rows of a request for images."""

import torch
from torch import Tensor

from models.network.encoder import top_k
from models.rows.denoiser import Denoiser
from models.rows.noise import Stream, uniform
from models.rows.rows import NoiseKey
from models.schema.specs import SamplerSpec
from models.solvers import SAMPLERS
from models.solvers.base import Columns, Problem, Sampler, SpecT, StateT


def sample_problem(
    denoiser: Denoiser,
    spec: SamplerSpec,
    seed: int,
    index: Tensor,
    latent: tuple[int, ...] | None = None,
) -> Problem[object]:
    """Return the rows for images `index` `[rows]` (int64) of a request with `seed`, for the
    registered sampler that `spec` names.

    `latent` names the k ones of z; left out, each image draws its own from the prior.
    """
    return problem_for(SAMPLERS[spec.name], denoiser, spec, seed, index, latent)


def problem_for(
    sampler: Sampler[SpecT, Columns, StateT],
    denoiser: Denoiser,
    spec: SpecT,
    seed: int,
    index: Tensor,
    latent: tuple[int, ...] | None = None,
) -> Problem[Columns]:
    """Return the rows of `sample_problem` for any `sampler`, registered or not."""
    key = NoiseKey(torch.full_like(index, seed), index)
    config = denoiser.config
    if latent is None:
        keys = uniform(key, Stream.LATENT, 0, (config.latent_size,))
        z = top_k(keys, config.latent_k).float()
    else:
        z = torch.zeros(len(index), config.latent_size, device=index.device)
        z[:, list(latent)] = 1.0
    columns = sampler.columns(spec, len(index), index.device)
    return Problem(key, denoiser.condition(z), columns)
