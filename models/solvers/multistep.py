"""The data predicted along the way, from the last two predictions: the core of a multistep rule."""

import torch
from torch import Tensor

from models.network.schedule import NoiseLevel


def predicted_data(x: Tensor, eps: Tensor, here: NoiseLevel) -> Tensor:
    """Return the clean image (x - sigma eps) / alpha that `eps`, predicted at `x`, points to."""
    return (x - here.sigma * eps) / here.alpha


def carried(
    data: Tensor,
    previous: Tensor,
    before: Tensor,
    here: NoiseLevel,
    there: NoiseLevel,
    weight: Tensor | None = None,
) -> Tensor:
    """Return the data half-way from `here` to `there` in gamma, on the line through `previous`,
    predicted at gamma `before`, and `data`, predicted `here` (DPM-Solver++(2M), Lu et al., 2022).

    It is `data` itself in dimensions where `before` is `here`, as in the first step. With a
    `weight` `[rows, 1, 1, 1]` it is that many times as far from `data`.
    """
    past = (before - here.gamma).clamp(min=0)
    reach = torch.where(past > 0, (here.gamma - there.gamma) / (2 * past.clamp(min=1e-12)), 0.0)
    if weight is not None:
        reach = weight * reach
    return data + reach * (data - previous)


def implied_eps(x: Tensor, data: Tensor, here: NoiseLevel) -> Tensor:
    """Return the eps that points from `x` to the clean image `data`."""
    return (x - here.alpha * data) / here.sigma
