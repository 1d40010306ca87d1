"""The network's time input, the normalised mean of gamma, and its inverse."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.network.schedule import Schedule

KNOTS = 257
BISECTIONS = 40
NEWTON_STEPS = 4


class NetworkTime(NamedTuple):
    """The functions s(t), the mean of gamma scaled to [0, 1], and t(s), float64.

    A mean of degree-5 polynomials is one itself: s(t) = sum of `powers[:, p-1]` t^p, `[rows, 5]`.
    `table` `[rows, 257]` holds t at evenly spaced s.
    """

    powers: Tensor
    table: Tensor

    @classmethod
    def of(cls, schedule: Schedule) -> "NetworkTime":
        """Return the network time of a schedule, with its inverse tabulated by bisection."""
        a, b, c = (leaf.double().flatten(1) for leaf in (schedule.a, schedule.b, schedule.c))
        terms = [c * c, b * c, (b * b + 2 * a * c) / 3, a * b / 2, a * a / 5]
        powers = torch.stack([term.mean(1) for term in terms], dim=1)
        powers = powers / powers.sum(1, keepdim=True)
        s = torch.linspace(0, 1, KNOTS, dtype=powers.dtype, device=powers.device)
        low, high = powers.new_zeros(len(powers), KNOTS), powers.new_ones(len(powers), KNOTS)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            below = _polynomial(powers[:, None], middle) < s
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        table = (low + high) / 2
        table[:, 0], table[:, -1] = 0.0, 1.0
        return cls(powers, table)

    def s(self, t: Tensor) -> Tensor:
        """Return the network time `[rows]` at diffusion time `t` `[rows]`."""
        return _polynomial(self.powers, t)

    def ds_dt(self, t: Tensor) -> Tensor:
        """Return the derivative of the network time by `t`, `[rows]`."""
        p1, p2, p3, p4, p5 = self.powers.unbind(1)
        return (((5 * p5 * t + 4 * p4) * t + 3 * p3) * t + 2 * p2) * t + p1

    def t(self, s: Tensor) -> Tensor:
        """Return the diffusion time `[rows]` at network time `s` `[rows]`, by the table and
        Newton's method."""
        position = s * (KNOTS - 1)
        knot = position.floor().clamp(0, KNOTS - 2)
        low = self.table.gather(1, knot.long()[:, None])[:, 0]
        high = self.table.gather(1, knot.long()[:, None] + 1)[:, 0]
        t = low + (position - knot) * (high - low)
        for _ in range(NEWTON_STEPS):
            slope = self.ds_dt(t)
            t = torch.where(slope > 0, t - (self.s(t) - s) / slope, t)
            t = torch.minimum(torch.maximum(t, low), high)
        return torch.where(s <= 0, 0.0, torch.where(s >= 1, 1.0, t))


def _polynomial(powers: Tensor, t: Tensor) -> Tensor:
    """Return the sum of powers[..., p-1] t^p by Horner's rule."""
    p1, p2, p3, p4, p5 = powers.unbind(-1)
    return ((((p5 * t + p4) * t + p3) * t + p2) * t + p1) * t
