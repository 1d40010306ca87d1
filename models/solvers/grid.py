"""The times at which the steps of a walk from noise to image end."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from models.rows.rows import Condition, Moment, whole
from models.schema.fields import MOST_POINTS, Grid
from models.schema.walks import WalkSpec
from models.solvers.base import column, count_column

GRIDS: tuple[Grid, ...] = ("gamma", "time", "ou")


class Points(NamedTuple):
    """The grid of each row: the number of its `steps` `[rows]`; its `rule`, an index of GRIDS
    `[rows]`, and the `power` that bends it `[rows]`; and network times of its `own`
    `[rows, MOST_POINTS + 1]`, NaN for a row that follows the rule."""

    steps: Tensor
    rule: Tensor
    power: Tensor
    own: Tensor

    @classmethod
    def of(cls, spec: WalkSpec, rows: int, device: torch.device) -> "Points":
        """Return the grid of `spec`, the same for `rows` rows."""
        own = torch.full((rows, MOST_POINTS + 1), math.nan, dtype=torch.float64, device=device)
        if spec.points is not None:
            times = torch.tensor([1.0, *spec.points, 0.0], dtype=torch.float64, device=device)
            own[:, : len(times)] = times
        rule = count_column(GRIDS.index(spec.grid), rows, device)
        power = column(spec.power, rows, device)
        return cls(count_column(spec.pieces, rows, device), rule, power, own)

    def moment(self, condition: Condition, index: Tensor) -> Moment:
        """Return time and noise of point `index` `[rows]`."""
        return condition.moment(self.time(condition, index))

    def time(self, condition: Condition, index: Tensor) -> Tensor:
        """Return the diffusion time `[rows]` of point `index` `[rows]`: 1 at 0, 0 at `steps` and
        beyond."""
        index = torch.minimum(index, self.steps)
        left = whole(torch.pow, 1 - index.double() / self.steps, self.power)
        own = self.own.gather(1, index.clamp(max=MOST_POINTS)[:, None])[:, 0]
        s = torch.where(self.rule == GRIDS.index("ou"), _ou(condition, left), left)
        ruled = own.isnan()
        t = condition.network_time.t(torch.where(ruled, s, own))
        return torch.where((self.rule == GRIDS.index("time")) & ruled, left, t)


def _ou(condition: Condition, left: Tensor) -> Tensor:
    """Network time where the Ornstein-Uhlenbeck process dx = -x dt + sqrt(2) dW, whose gamma is
    log(e^2t - 1), has the share `left` of its time behind it."""
    low, high = condition.schedule.gamma_min, condition.schedule.gamma_max
    gamma = whole(lambda left, high: (left * softplus(high)).expm1().log(), left, high)
    return ((gamma - low) / (high - low)).clamp(0, 1)
