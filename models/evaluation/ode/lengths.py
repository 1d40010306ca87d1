"""Lengths of steps for which the trapezoid rule errs as much in each step of the way."""

import torch
from torch import Tensor

from models.schema.ode_error import PARTS

# Errors are those of the rule with so many equal steps, about as many as a solve takes.
COARSE = 50
# In a small step the rule errs by the third power of its length.
POWER = 3.0
# The longest step over the shortest: where the rule hardly errs, x does.
MOST_UNEQUAL = 3.0


def even_lengths(rates: Tensor) -> Tensor:
    """Return the lengths of steps in each part of the way, `[PARTS]`, the shortest being 1, from
    the derivatives of the log-det `rates` `[images, points]` at even distances on the whole way.

    The trapezoid rule's error in a step of one length is compared with that over the points within
    it. The root of the mean square over images, and over the steps of a part, is what would be the
    same everywhere with steps of the lengths that are returned.
    """
    distance = 1 / (rates.shape[1] - 1)
    wide = max(2, round(1 / (COARSE * distance)))
    left, right = rates[:, :-1], rates[:, 1:]
    reached = (distance / 2 * (left + right)).cumsum(1)
    reached = torch.cat([torch.zeros_like(reached[:, :1]), reached], dim=1)
    coarse = wide * distance / 2 * (rates[:, :-wide] + rates[:, wide:])
    squares = (coarse - (reached[:, wide:] - reached[:, :-wide])).square().mean(0)
    middles = (torch.arange(len(squares), device=rates.device) + wide / 2) * distance
    part = (PARTS * middles).long().clamp(max=PARTS - 1)
    totals, counts = rates.new_zeros(2, PARTS)
    totals.index_add_(0, part, squares)
    counts.index_add_(0, part, torch.ones_like(squares))
    errors = (totals / counts).sqrt()
    # Without any error all are equal.
    tiny = torch.finfo(errors.dtype).tiny
    ratio = errors.max().clamp(min=tiny) / errors.clamp(min=tiny)
    lengths: Tensor = ratio.pow(1 / POWER).clamp(max=MOST_UNEQUAL)
    return lengths


def steps_of(lengths: Tensor, count: float) -> tuple[float, ...]:
    """Return the steps in each part of the way that are so unequal and take about `count` steps
    for the whole of it."""
    return tuple((lengths * (1 / lengths).mean() / count).tolist())
