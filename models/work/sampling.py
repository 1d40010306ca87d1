"""The rows of requests for images."""

from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, cast

import optree
import torch
from torch import Tensor

from models.rows.denoiser import Denoiser
from models.rows.latents import drawn
from models.rows.rows import Condition, NoiseKey, concat, take
from models.schema.specs import SamplerSpec
from models.schema.walks import WalkSpec
from models.solvers import sampler_of
from models.solvers.base import Columns, Problem, Sampler, SpecT, StateT
from models.solvers.grid import Points


class Images(NamedTuple, Generic[SpecT]):
    """Images `numbers` of one request with a `seed`. `latents` names the k ones of z for each, or
    its class alone; None lets every image draw its own."""

    spec: SpecT
    seed: int
    numbers: Sequence[int]
    latents: Sequence[tuple[int, ...]] | None = None


def sample_problem(
    denoiser: Denoiser,
    spec: SamplerSpec,
    seed: int,
    index: Tensor,
    latent: tuple[int, ...] | None = None,
) -> Problem[object]:
    """Return the rows for images `index` `[rows]` (int64) of a request with `seed`, for the
    registered sampler that `spec` names.

    `latent` names the k ones of z, or the class alone; left out, each image draws its own, every
    latent or class as likely.
    """
    return problem_for(sampler_of(spec.name, denoiser.config), denoiser, spec, seed, index, latent)


def problem_for(
    sampler: Sampler[SpecT, Columns, StateT],
    denoiser: Denoiser,
    spec: SpecT,
    seed: int,
    index: Tensor,
    latent: tuple[int, ...] | None = None,
) -> Problem[Columns]:
    """Return the rows of `sample_problem` for any `sampler`, registered or not."""
    numbers = index.tolist()
    images = Images(spec, seed, numbers, None if latent is None else [latent] * len(numbers))
    return joint_problem(sampler, denoiser, [images], index.device)


def joint_problem(
    sampler: Sampler[SpecT, Columns, StateT],
    denoiser: Denoiser,
    wanted: Sequence[Images[SpecT]],
    device: torch.device,
) -> Problem[Columns]:
    """Return the rows of several requests, one after another, by one pass of the schedule."""
    specs = list(dict.fromkeys(images.spec for images in wanted))
    keys = [
        (specs.index(images.spec), images.seed, number)
        for images in wanted
        for number in images.numbers
    ]
    which, seeds, numbers = torch.tensor(keys, dtype=torch.int64).T.contiguous().to(device)
    key = NoiseKey(seeds, numbers)
    latent = _latents(denoiser, wanted, key)
    condition = denoiser.condition(latent)
    columns = take(concat([sampler.columns(spec, 1, device) for spec in specs]), which)
    walks = [spec for spec in specs if isinstance(spec, WalkSpec)]
    return Problem(key, condition, _tabulated(columns, condition, walks))


def _tabulated(columns: Columns, condition: Condition, specs: Sequence[WalkSpec]) -> Columns:
    """Return the columns with the times of every walk in a table."""

    def leaf(part: Any) -> Any:
        return part.tabulated(condition, specs) if isinstance(part, Points) else part

    tree: Any = columns
    return cast(Columns, optree.tree_map(leaf, tree, is_leaf=lambda part: isinstance(part, Points)))


def _latents(denoiser: Denoiser, wanted: Sequence[Images[SpecT]], key: NoiseKey) -> Tensor:
    """Return the latent of each row `[rows, n]`: the one that its request names, or a draw."""
    latent = drawn(denoiser.config, key)
    if all(images.latents is None for images in wanted):
        return latent
    named = torch.zeros(latent.shape)
    chosen = torch.zeros(len(latent), dtype=torch.bool)
    row = 0
    for images in wanted:
        for ones in images.latents or ():
            named[row, list(ones)], chosen[row] = 1.0, True
            row += 1
        row += 0 if images.latents else len(images.numbers)
    named, chosen = named.to(latent.device), chosen.to(latent.device)
    return torch.where(chosen[:, None], named, latent)
