"""The reverse transition kernel, and the walk from noise to image that its samplers share.

A segment of the walk goes from x_t to a draw of p(x_r | x_t) ~ exp(-g), r < t, by an inner Markov
chain that evaluates the network at the cleaner end r (Huang et al., NeurIPS 2024):

    g(x) = -log p_r(x) + sum_i (x_t - a x)_i^2 / (2 v_i)      a = alpha_t / alpha_r, v = s_t^2 C

with C = -expm1(gamma_r - gamma_t). For the true density the Hessian of g is at most diag(1 / M),
M = s_r^2 C, the variance of the DDPM step; so M is the natural mass in every dimension.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.network.schedule import NoiseLevel, per_row
from models.rows.noise import Stream, normal
from models.rows.rows import Condition, NoiseKey, Query, where
from models.schema.fields import MOST_POINTS
from models.schema.walks import RtkSpec
from models.solvers.base import count_column, flag_column
from models.solvers.ddpm import ancestral_step
from models.solvers.grid import Points
from models.solvers.multistep import carried, implied_eps, predicted_data

# Below this, sqrt(M) is near the spacing of float32: such a dimension cannot tell steps apart.
STILL = 1e-12


class Kernel(NamedTuple):
    """The part of g that the inner chain needs, each `[rows, C, H, W]` float64.

    The gradient is met only as M grad g = gain eps(x, r) + pull (x - centre), which needs no
    division: where the schedule stands still, M = gain = 0 and x stays at the centre. `here` and
    `there` are the noise at t and r.
    """

    centre: Tensor
    mass: Tensor
    gain: Tensor
    pull: Tensor
    here: NoiseLevel
    there: NoiseLevel

    @classmethod
    def between(cls, anchor: Tensor, here: NoiseLevel, there: NoiseLevel) -> "Kernel":
        """Return the kernel from x_t = `anchor` at noise `here` to the cleaner `there`."""
        fall = (there.gamma - here.gamma).clamp(max=0)
        c = -torch.expm1(fall)
        gain = there.sigma * c
        centre = there.alpha / here.alpha * anchor
        return cls(centre, there.sigma * gain, gain, fall.exp(), here, there)

    def drift(self, x: Tensor, eps: Tensor) -> Tensor:
        """M grad g at `x`, where the network predicts `eps`."""
        return self.gain * eps + self.pull * (x - self.centre)

    def guess(self, draw: Tensor) -> Tensor:
        """Return a draw of the Gaussian factor N(x_t / a, v / a^2) from standard normals."""
        return self.centre + (self.mass / self.pull).sqrt() * draw

    def langevin(self, x: Tensor, eps: Tensor, step: Tensor, draw: Tensor) -> Tensor:
        """x - c M grad g + sqrt(2 c M) xi, for steps c `[rows]`."""
        c = per_row(step)
        moved = x - c * self.drift(x, eps) + (2 * c * self.mass).sqrt() * draw
        return moved.to(x.dtype)

    def per_mass(self, square: Tensor) -> Tensor:
        """`square` / M, and 0 in dimensions that stand still."""
        return torch.where(self.mass > STILL, square / self.mass.clamp(min=STILL), 0.0)


class WalkPlan(NamedTuple):
    """The shape of the walk, one value a row: the segments' `ends`, the evaluations of each
    segment's inner `chain`, whether one more at t comes before them (`ancestral`), and whether that
    start is `multistep`."""

    ends: Points
    chain: Tensor
    ancestral: Tensor
    multistep: Tensor

    @classmethod
    def of(cls, spec: RtkSpec, rows: int, device: torch.device) -> "WalkPlan":
        """Return the walk of `spec`, the same for `rows` rows."""
        return cls(
            Points.of(spec, rows, device),
            count_column(spec.chain, rows, device),
            flag_column(spec.start != "kernel", rows, device),
            flag_column(spec.start == "multistep", rows, device),
        )

    @property
    def segments(self) -> Tensor:
        """The number of segments of the walk."""
        return self.ends.steps

    @property
    def length(self) -> Tensor:
        """The evaluations of one segment."""
        return self.chain + self.ancestral

    @property
    def evaluations(self) -> Tensor:
        """The evaluations of the whole walk."""
        return self.segments * self.length

    def of_segment(self, table: Tensor, nfe: Tensor) -> Tensor:
        """Return the column `[rows]` of a `table` `[rows, MOST_POINTS]`, one for each segment, that
        holds after `nfe` evaluations."""
        segment = (nfe // self.length).clamp(max=MOST_POINTS - 1)
        return table.gather(1, segment[:, None])[:, 0]

    def phase(self, nfe: Tensor) -> Tensor:
        """Return the index of the next evaluation in the inner chain, or -1 at an ancestral
        start."""
        return nfe % self.length - self.ancestral.long()


def segment_table(values: Sequence[float], rows: int, device: torch.device) -> Tensor:
    """Return the values, one for each segment, as a table `[rows, MOST_POINTS]` of equal rows,
    float64."""
    table = torch.zeros(MOST_POINTS, dtype=torch.float64, device=device)
    table[: len(values)] = torch.tensor(values, dtype=torch.float64)
    return table.expand(rows, -1).contiguous()


class Walk(NamedTuple):
    """The place of a row: the `anchor` x_t that its segment left from, the chain's `x`, the
    segment's ends `t` and `r`, the evaluations told so far, and the `data` predicted at the last
    start."""

    anchor: Tensor
    x: Tensor
    t: Tensor
    r: Tensor
    nfe: Tensor
    data: Tensor

    @classmethod
    def begin(cls, key: NoiseKey, condition: Condition, plan: WalkPlan) -> "Walk":
        """Return the walk at t = 1, from pure noise."""
        shape = tuple(condition.schedule.a.shape[1:])
        x, draw = normal(key, Stream.START, 0, shape), normal(key, Stream.STEP, 0, shape)
        one, none = torch.ones_like(condition.schedule.gamma_min), torch.zeros_like(plan.segments)
        here = condition.schedule.noise(one)
        return _enter(condition, plan, x, one, here, none, draw, torch.zeros_like(x))

    def query(self, plan: WalkPlan) -> Query:
        """Return the question about x: at t for an ancestral start, else at r."""
        return Query(self.x, torch.where(plan.phase(self.nfe) < 0, self.t, self.r))

    def kernel(self, condition: Condition) -> Kernel:
        """Return the kernel of the present segment."""
        schedule = condition.schedule
        return Kernel.between(self.anchor, schedule.noise(self.t), schedule.noise(self.r))

    def advance(
        self,
        key: NoiseKey,
        condition: Condition,
        plan: WalkPlan,
        kernel: Kernel,
        eps: Tensor,
        x: Tensor,
    ) -> "Walk":
        """Return the walk after one more answer `eps`, where `x` is what the inner chain made of
        it.

        A row that stood at an ancestral start makes that draw instead, and one whose chain is
        over enters the next segment.
        """
        phase, segment = plan.phase(self.nfe), self.nfe // plan.length
        # A row needs its draw either to leave this segment's start or to guess at the next one's.
        draw = normal(key, Stream.STEP, segment + ~plan.ancestral, tuple(x.shape[1:]))
        predicted = predicted_data(self.anchor, eps, kernel.here)
        before = condition.schedule.gamma(plan.ends.time(condition, (segment - 1).clamp(min=0)))
        onward = carried(predicted, self.data, before, kernel.here, kernel.there)
        eps = where(plan.multistep, implied_eps(self.anchor, onward, kernel.here), eps.double())
        drawn = ancestral_step(self.anchor, eps, kernel.here, kernel.there, draw)
        x, data = where(phase < 0, (drawn, predicted.to(x.dtype)), (x, self.data))
        inside = Walk(self.anchor, x, self.t, self.r, self.nfe + 1, data)
        entered = _enter(condition, plan, x, self.r, kernel.there, self.nfe + 1, draw, data)
        return where(phase == plan.chain - 1, entered, inside)


def _enter(
    condition: Condition,
    plan: WalkPlan,
    x: Tensor,
    t: Tensor,
    here: NoiseLevel,
    nfe: Tensor,
    draw: Tensor,
    data: Tensor,
) -> Walk:
    """Return the beginning of the segment that leaves from `x` at `t`; past the last one, x
    itself."""
    r = plan.ends.time(condition, nfe // plan.length + 1)
    guess = Kernel.between(x, here, condition.schedule.noise(r)).guess(draw)
    return Walk(x, where(plan.ancestral, x, guess.to(x.dtype)), t, r, nfe, data)
