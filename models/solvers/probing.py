"""Probes that change along the path, and the noise that they leave in the log-det.

A probe that stays the same for a whole solve errs in the same direction at every step. One that is
renewed errs independently, so that errors of steps add up like independent ones. Within a cycle of
points a probe keeps its random signs, times patterns that are +1 and -1 on alternate pixels: what
two near pixels contribute to the error changes its sign from point to point, while the Jacobian
hardly changes (Walsh functions; probing vectors as in Stathopoulos, Laeuchli & Orginos, SISC 2013).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from models.network.schedule import per_row
from models.rows.noise import Stream, rademacher
from models.rows.rows import NoiseKey

# With several probes, the number of points for which a probe keeps its random signs: the number of
# patterns. One probe alone takes new ones at every point, because its error bar is made of
# differences between points, which patterns would change.
CYCLE = 8
# The degrees of freedom of a sum of n squared second differences of independent normals, over n:
# one over the sum of the squares of their correlations, 1, 2/3 and 1/6 on both sides.
SECOND_DIFFERENCES = 1 / (1 + 2 * (4 / 9 + 1 / 36))


class Spread(NamedTuple):
    """The noise of a row's log-det so far, float64.

    `cycle` `[rows, probes]` is the integral over the present cycle by each probe; `variance`
    `[rows]` sums up what the terms before it add to the variance of the mean over probes, and
    `squares` the squares of these.
    """

    cycle: Tensor
    variance: Tensor
    squares: Tensor

    def plus(self, variance: Tensor, counts: Tensor) -> "Spread":
        """Return the noise with one more term `variance` `[rows]` where `counts` `[rows]`."""
        one = torch.where(counts, variance, 0.0)
        return self._replace(variance=self.variance + one, squares=self.squares + one.square())


class TraceError(NamedTuple):
    """The variance of the mean log-det over the probes, in squared nats, and the degrees of freedom
    of that estimate, `[rows]` each; both are NaN where nothing tells."""

    variance: Tensor
    freedom: Tensor


def cycle_of(probes: int) -> int:
    """Return the points of a cycle for so many probes."""
    return 1 if probes == 1 else CYCLE


def flips(
    key: NoiseKey, solve: Tensor, cycle: Tensor, point: Tensor, shape: tuple[int, ...]
) -> Tensor:
    """Return the signs `[rows, probes, C, H, W]` by which probes of a `shape` are multiplied at
    each row's `point` `[rows]`, for cycles of `cycle` `[rows]` points; 1 where that is 0.

    They depend on the seed and on the number of the `solve` `[rows]`, not on the row's own number:
    draws of one image share them.
    """
    length = cycle.clamp(min=1)
    shared = key._replace(number=solve)
    signs = rademacher(shared, Stream.FLIP, point // length, shape)
    signs = signs * _patterns(point % length, shape[1:])[:, None]
    return torch.where(per_row(cycle > 0)[:, None], signs, 1.0)


def begin(rate: Tensor) -> Spread:
    """Return the noise before the first step; `rate` is any tensor `[rows, probes]`, float64."""
    zero = torch.zeros_like(rate[:, 0])
    return Spread(torch.zeros_like(rate), zero, zero)


def between_probes(spread: Spread, left: Tensor, right: Tensor, renewed: Tensor) -> Spread:
    """Return the noise after a step whose two ends add `left` and `right` `[rows, probes]`, where
    `renewed` `[rows]` says that a new cycle begins at the step's end."""
    ended = spread.cycle + left
    closed = spread.plus(_of_mean(ended), renewed)
    return closed._replace(cycle=torch.where(renewed[:, None], right, ended + right))


def between_points(spread: Spread, kink: Tensor, before: Tensor, h: Tensor) -> Spread:
    """Return the noise after a step of length `h` `[rows]` that follows one of length `before`, 0
    for none, where the rate leaves the line through the last two points by `kink` `[rows]`.

    The middle point then differs from the line through its neighbours by its weight's share of
    that; beside noise this holds what the rate itself bends, so the error is not understated.
    """
    share = before / (h + before)
    scale = 1 + share.square() + (1 - share).square()
    return spread.plus((before / 2 * kink).square() / scale, before > 0)


def fixed_error(log_det: Tensor) -> TraceError:
    """Return the error where the probes of `log_det` `[rows, probes]` stayed the same."""
    variance, others = _of_mean(log_det), log_det.shape[1] - 1
    return TraceError(variance, torch.full_like(variance, others or torch.nan))


def fresh_error(spread: Spread) -> TraceError:
    """Return the error where the probes were renewed."""
    others = spread.cycle.shape[1] - 1
    if others:
        spread = spread.plus(_of_mean(spread.cycle), torch.ones_like(spread.variance) > 0)
    # Satterthwaite (Biometrics Bulletin 2, 1946), without its bias: the square of an estimate with
    # n degrees of freedom is on average 1 + 2/n times the square of what is estimated.
    each = max(others, 1)
    squares = spread.squares.clamp(min=torch.finfo(spread.squares.dtype).tiny)
    freedom = ((each + 2) * spread.variance.square() / squares - 2).clamp(min=each)
    return TraceError(spread.variance, freedom if others else SECOND_DIFFERENCES * freedom)


def _of_mean(values: Tensor) -> Tensor:
    """Return the estimated variance of the mean of `values` `[rows, probes]`; NaN for one probe."""
    probes = values.shape[1]
    squares = (values - values.mean(1, keepdim=True)).square().sum(1)
    return squares / (probes * (probes - 1)) if probes > 1 else squares + torch.nan


def _patterns(place: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return pattern `place` `[rows]` of CYCLE on images of a `shape` (C, H, W), `[rows, C, H, W]`.

    The first bit of the place says whether neighbours differ, the second whether rows do, the third
    whether blocks of 2 x 2 do; so each pair of pixels that differ in one of these cancels out.
    """
    channel, row, column = (torch.arange(size, device=place.device) for size in shape)
    channel, row = channel[:, None, None], row[:, None]
    near, rows, blocks = row + column + channel, row + channel // 2, row // 2 + column // 2
    place = per_row(place)
    flipped = (place & 1) * near + (place >> 1 & 1) * rows + (place >> 2) * blocks
    return 1.0 - 2.0 * (flipped % 2)
