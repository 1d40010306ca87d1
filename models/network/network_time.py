"""The network's time input, the normalised mean of gamma, and its inverse."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.network.schedule import Schedule, integrated, quartic

PIECES = 256
NEWTON_STEPS = 2


class NetworkTime(NamedTuple):
    """The functions s(t), the mean of gamma scaled to [0, 1], and t(s), float64.

    A mean of degree-5 polynomials is one itself: s(t) = t q(t), and q as well as ds/dt have the
    five coefficients `quartics` `[rows, 2, 5]`, lowest first. `table` `[rows, 257]` holds s at
    evenly spaced t.
    """

    quartics: Tensor
    table: Tensor

    @classmethod
    def of(cls, schedule: Schedule) -> "NetworkTime":
        """Return the network time of a schedule."""
        a, b, c = (leaf.double().flatten(1) for leaf in (schedule.a, schedule.b, schedule.c))
        powers = torch.stack([term.mean(1) for term in integrated(a, b, c)], dim=1)
        powers = powers / powers.sum(1, keepdim=True)
        degrees = torch.arange(1, 6, device=powers.device)
        quartics = torch.stack([powers, powers * degrees], dim=1)
        t = torch.arange(PIECES + 1, device=powers.device).double() / PIECES
        return cls(quartics, t * quartic(powers[:, None].unbind(-1), t))

    def s(self, t: Tensor) -> Tensor:
        """Return the network time `[rows]` at diffusion time `t` `[rows]`."""
        return t * quartic(self.quartics[:, 0].unbind(-1), t)

    def t(self, s: Tensor) -> Tensor:
        """Return the diffusion times at network times `s`, `[rows]` or several `[rows, times]`: by
        the table, then by Newton's method within the piece that the table finds."""
        if s.ndim == 1:
            return self.t(s[:, None])[:, 0]
        piece = torch.searchsorted(self.table, s.contiguous(), right=True).clamp_(1, PIECES)
        below, above = self.table.gather(1, piece - 1), self.table.gather(1, piece)
        low, tiny = (piece - 1).double() / PIECES, torch.finfo(s.dtype).tiny
        high = low + 1 / PIECES
        t = low + (s - below) / (above - below).clamp(min=tiny) / PIECES
        coefficients = self.quartics[:, None].unbind(-1)
        for _ in range(NEWTON_STEPS):
            q, slope = quartic(coefficients, t[..., None]).unbind(-1)
            # Where the schedule stands still, the bounds of the piece stop the step.
            t = (t - (t * q - s) / slope.clamp(min=tiny)).clamp(low, high)
        return torch.where(s <= 0, 0.0, torch.where(s >= 1, 1.0, t))
