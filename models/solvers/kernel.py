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
from models.rows.noise import NORMAL, Draw, Stream, draw
from models.rows.rows import Condition, Moment, NoiseKey, Query, where
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
    segment's inner `chain`, whether a prediction at t comes before them (`ancestral`), and whether
    that start is `multistep`. Where `carried`, the chain before has made that prediction, and only
    the first segment's start takes an evaluation.

    The places of a walk are numbered as if every start took one: `place` gives the number of the
    next answer, by which noise is drawn.
    """

    ends: Points
    chain: Tensor
    ancestral: Tensor
    multistep: Tensor
    carried: Tensor

    @classmethod
    def of(cls, spec: RtkSpec, rows: int, device: torch.device) -> "WalkPlan":
        """Return the walk of `spec`, the same for `rows` rows."""
        return cls(
            Points.of(spec, rows, device),
            count_column(spec.chain, rows, device),
            flag_column(spec.start != "kernel", rows, device),
            flag_column(spec.start == "multistep", rows, device),
            flag_column(spec.knows_its_end and spec.start != "kernel", rows, device),
        )

    @property
    def segments(self) -> Tensor:
        """The number of segments of the walk."""
        return self.ends.steps

    @property
    def length(self) -> Tensor:
        """The places of one segment."""
        return self.chain + self.ancestral

    @property
    def evaluations(self) -> Tensor:
        """The evaluations of the whole walk."""
        return self.segments * self.length - self.carried * (self.segments - 1)

    def place(self, nfe: Tensor) -> Tensor:
        """Return the place of the next answer after `nfe` evaluations, both `[rows]`."""
        passed = (nfe - 1).clamp(min=0) // self.chain.clamp(min=1)
        return nfe + self.carried * passed

    def segment(self, nfe: Tensor) -> Tensor:
        """Return the index of the segment in which the next answer lies, `[rows]`."""
        return self.place(nfe) // self.length

    def of_segment(self, table: Tensor, nfe: Tensor) -> Tensor:
        """Return the column `[rows]` of a `table` `[rows, MOST_POINTS]`, one for each segment, that
        holds after `nfe` evaluations."""
        segment = self.segment(nfe).clamp(max=MOST_POINTS - 1)
        return table.gather(1, segment[:, None])[:, 0]

    def phase(self, nfe: Tensor) -> Tensor:
        """Return the index of the next evaluation in the inner chain, or -1 at an ancestral
        start."""
        return self.place(nfe) % self.length - self.ancestral.long()


def segment_table(values: Sequence[float], rows: int, device: torch.device) -> Tensor:
    """Return the values, one for each segment, as a table `[rows, MOST_POINTS]` of equal rows,
    float64."""
    table = torch.zeros(MOST_POINTS, dtype=torch.float64, device=device)
    table[: len(values)] = torch.tensor(values, dtype=torch.float64)
    return table.expand(rows, -1).contiguous()


class Walk(NamedTuple):
    """The place of a row: the `anchor` x_t that its segment left from `here`, t, for `there`, r;
    the chain's `x`; the evaluations told so far; the `data` predicted at the last start, and gamma
    `before`, at the start of the segment before this one."""

    anchor: Tensor
    x: Tensor
    here: Moment
    there: Moment
    nfe: Tensor
    data: Tensor
    before: Tensor

    @classmethod
    def begin(cls, key: NoiseKey, condition: Condition, plan: WalkPlan) -> "Walk":
        """Return the walk at t = 1, from pure noise."""
        shape = tuple(condition.schedule.a.shape[1:])
        start, guess = (Draw(NORMAL, stream, 0, shape) for stream in (Stream.START, Stream.STEP))
        x, draws = draw(key, start, guess)
        none = torch.zeros_like(plan.segments)
        here = plan.ends.moment(condition, none)
        there = plan.ends.moment(condition, none + 1)
        walk = cls(x, x, here, here, none, torch.zeros_like(x), here.noise.gamma)
        return walk._enter(plan, x, there, draws)

    def query(self, plan: WalkPlan) -> Query:
        """Return the question about x: at t for an ancestral start, else at r."""
        asked = where(plan.phase(self.nfe) < 0, self.here, self.there)
        return Query(self.x, asked.t, noise=asked.noise)

    def kernel(self) -> Kernel:
        """Return the kernel of the present segment."""
        return Kernel.between(self.anchor, self.here.noise, self.there.noise)

    def draw(self, plan: WalkPlan) -> Draw:
        """Return the draw that the next answer needs: to leave this segment's start, or to guess at
        the next one's, or to leave the next one's start."""
        use = plan.segment(self.nfe) + (~plan.ancestral | (plan.carried & (self.nfe > 0)))
        return Draw(NORMAL, Stream.STEP, use, tuple(self.x.shape[1:]))

    def advance(
        self,
        condition: Condition,
        plan: WalkPlan,
        eps: Tensor,
        x: Tensor,
        known: Tensor,
        draw: Tensor,
    ) -> "Walk":
        """Return the walk after one more answer `eps`, where `x` is what the inner chain made of
        it, by standard normals for its own `draw`.

        A row that stood at an ancestral start makes that draw instead, and one whose chain is
        over enters the next segment. Where the plan is `carried` it leaves that segment's start at
        once, by the prediction `known` at `x`.
        """
        phase, nfe = plan.phase(self.nfe), self.nfe + 1
        starts, ends = phase < 0, phase == plan.chain - 1
        inside = self._replace(x=x, nfe=nfe)
        there = plan.ends.moment(condition, plan.segment(nfe) + 1)
        walk = where(ends, inside._enter(plan, x, there, draw), inside)
        drawn = walk._leave(plan, where(starts, eps, known), draw)
        return where(starts | (ends & plan.carried & (nfe < plan.evaluations)), drawn, walk)

    def _leave(self, plan: WalkPlan, eps: Tensor, draw: Tensor) -> "Walk":
        """Return the walk after the ancestral draw at this segment's start, where the prediction is
        `eps`."""
        here, there = self.here.noise, self.there.noise
        predicted = predicted_data(self.anchor, eps, here)
        onward = carried(predicted, self.data, self.before, here, there)
        eps = where(plan.multistep, implied_eps(self.anchor, onward, here), eps.double())
        x = ancestral_step(self.anchor, eps, here, there, draw)
        return self._replace(x=x, data=predicted.to(self.x.dtype))

    def _enter(self, plan: WalkPlan, x: Tensor, there: Moment, draw: Tensor) -> "Walk":
        """Return the beginning of the segment that leaves from `x`, at the end of this one, for
        `there`; past the last segment, x itself."""
        guess = Kernel.between(x, self.there.noise, there.noise).guess(draw)
        start = where(plan.ancestral, x, guess.to(x.dtype))
        gamma = self.here.noise.gamma
        return Walk(x, start, self.there, there, self.nfe, self.data, gamma)
