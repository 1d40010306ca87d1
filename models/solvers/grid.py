"""The times at which the steps of a walk from noise to image end."""

import math
from collections.abc import Callable, Collection
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from models.rows.rows import Condition, Moment, whole
from models.schema.fields import MOST_POINTS, MOST_STEPS, Grid
from models.schema.walks import WalkSpec
from models.solvers.base import column, count_column

GRIDS: tuple[Grid, ...] = ("gamma", "time", "ou")


class Points(NamedTuple):
    """The grid of each row: the number of its `steps` `[rows]`; its `rule`, an index of GRIDS
    `[rows]`, and the `power` that bends it `[rows]`; and network times of its `own`
    `[rows, MOST_POINTS + 1]`, NaN for a row that follows the rule.

    `times` `[rows, MOST_STEPS + 1]` has the diffusion time of each point, and NaN beyond the last.
    It is empty, `[rows, 0]`, until `tabulated` fills it.
    """

    steps: Tensor
    rule: Tensor
    power: Tensor
    own: Tensor
    times: Tensor

    @classmethod
    def of(cls, spec: WalkSpec, rows: int, device: torch.device) -> "Points":
        """Return the grid of `spec`, the same for `rows` rows."""
        own = torch.full((rows, MOST_POINTS + 1), math.nan, dtype=torch.float64, device=device)
        if spec.points is not None:
            times = torch.tensor([1.0, *spec.points, 0.0], dtype=torch.float64, device=device)
            own[:, : len(times)] = times
        rule = count_column(GRIDS.index(spec.grid), rows, device)
        power = column(spec.power, rows, device)
        return cls(count_column(spec.pieces, rows, device), rule, power, own, own[:, :0])

    def tabulated(self, condition: Condition, specs: Collection[WalkSpec]) -> "Points":
        """Return the same grid with its times in a table, so that no step computes them; all rows
        are of `specs`. Raises ValueError for more than MOST_STEPS."""
        steps = max(spec.pieces for spec in specs)
        if steps > MOST_STEPS:
            raise ValueError(f"{steps} steps: a walk has at most {MOST_STEPS}")
        rows, device = len(self.steps), self.steps.device
        index = torch.arange(steps + 1, device=device).expand(rows, -1)
        times = torch.full((rows, MOST_STEPS + 1), math.nan, dtype=torch.float64, device=device)
        any_ou = any(spec.grid == "ou" for spec in specs)
        times[:, : steps + 1] = self._times(condition, index, any_ou)
        return self._replace(times=times)

    def moment(self, condition: Condition, index: Tensor) -> Moment:
        """Return time and noise of point `index` `[rows]`."""
        return condition.moment(self.time(condition, index))

    def time(self, condition: Condition, index: Tensor) -> Tensor:
        """Return the diffusion time `[rows]` of point `index` `[rows]`: 1 at 0, 0 at `steps` and
        beyond."""
        if self.times.shape[1]:
            return self.times.gather(1, torch.minimum(index, self.steps)[:, None])[:, 0]
        return self._times(condition, index[:, None])[:, 0]

    def _times(self, condition: Condition, index: Tensor, any_ou: bool = True) -> Tensor:
        """Return the diffusion times of points `index` `[rows, points]`, as `time` does; `any_ou`
        says whether a row may follow the rule "ou"."""
        steps, rule = self.steps[:, None], self.rule[:, None]
        index = torch.minimum(index, steps)
        left = _pointwise(torch.pow, 1 - index.double() / steps, self.power)
        own = self.own.gather(1, index.clamp(max=MOST_POINTS))
        s = left
        if any_ou:
            s = torch.where(rule == GRIDS.index("ou"), _ou(condition, left), left)
        ruled = own.isnan()
        t = condition.network_time.t(torch.where(ruled, s, own))
        return torch.where((rule == GRIDS.index("time")) & ruled, left, t)


def _ou(condition: Condition, left: Tensor) -> Tensor:
    """Network time where the Ornstein-Uhlenbeck process dx = -x dt + sqrt(2) dW, whose gamma is
    log(e^2t - 1), has the share `left` `[rows, points]` of its time behind it."""
    low, high = condition.schedule.gamma_min, condition.schedule.gamma_max
    gamma = _pointwise(lambda left, high: (left * softplus(high)).expm1().log(), left, high)
    return ((gamma - low[:, None]) / (high - low)[:, None]).clamp(0, 1)


def _pointwise(function: Callable[..., Tensor], points: Tensor, column: Tensor) -> Tensor:
    """Return `function` of `points` `[rows, points]` and a `column` `[rows]`, without a tail."""
    columns = points.flatten(), column[:, None].expand_as(points).flatten()
    return whole(function, *columns).view_as(points)
