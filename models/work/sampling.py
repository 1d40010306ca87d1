"""From a request for images to rows, and back to pixel tokens."""

import torch
from torch import Tensor

from models.network.encoder import top_k
from models.rows.denoiser import Denoiser
from models.rows.noise import Stream, uniform
from models.rows.rows import NoiseKey
from models.schema.specs import SamplerSpec
from models.solvers import SAMPLERS
from models.solvers.base import Problem


def sample_problem(
    denoiser: Denoiser,
    spec: SamplerSpec,
    seed: int,
    index: Tensor,
    latent: tuple[int, ...] | None = None,
) -> Problem[object]:
    """Rows for images `index` `[rows]` (int64) of a request with `seed`.

    `latent` names the k ones of z; left out, each image draws its own from the prior.
    """
    key = NoiseKey(torch.full_like(index, seed), index)
    config = denoiser.config
    if latent is None:
        keys = uniform(key, Stream.LATENT, 0, (config.latent_size,))
        z = top_k(keys, config.latent_k).float()
    else:
        z = torch.zeros(len(index), config.latent_size, device=index.device)
        z[:, list(latent)] = 1.0
    columns = SAMPLERS[spec.name].columns(spec, len(index), index.device)
    return Problem(key, denoiser.condition(z), columns)
