"""RTK with Metropolis-adjusted Langevin steps, from scores alone (Huang et al., NeurIPS 2024,
algorithm 2, with the change of log-density a line integral of the score)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.network.schedule import per_row
from models.rows.noise import NORMAL, UNIFORM, Draw, Stream
from models.rows.rows import Query, where, whole
from models.schema.specs import RtkMala
from models.solvers.base import Problem, Sample, flag_column
from models.solvers.kernel import Kernel, WalkPlan, segment_table
from models.solvers.rtk import Rtk, State


class Columns(NamedTuple):
    """The plan, each segment's step size `[rows, MOST_POINTS]`, and whether the line integral goes
    by Simpson's rule."""

    plan: WalkPlan
    step_size: Tensor
    simpson: Tensor


class Proposal(NamedTuple):
    """The prediction `eps` at the chain's x, kept on rejection; the proposal `x`; the prediction
    `middle` half-way to it; and the number of proposals accepted `[rows]`."""

    eps: Tensor
    x: Tensor
    middle: Tensor
    accepted: Tensor


class Awaited(NamedTuple):
    """The meaning of the next answer, `[rows]` booleans: the chain's first prediction, the one
    half-way to the proposal, or the one at the proposal; at an ancestral start, none of them."""

    first: Tensor
    midway: Tensor
    judged: Tensor


class RtkMalaSolver(Rtk[Columns, Proposal]):
    """The proposal of RTK-ULA, and one acceptance for all dimensions of a row.

    A prediction that is not finite is no rejection: it says nothing about the density. It turns
    the row's x into NaN for good, so that the row ends as NOT_FINITE.
    """

    name = "rtk-mala"

    def columns(self, spec: RtkMala, rows: int, device: torch.device) -> Columns:
        step_size = segment_table(spec.segment_step_sizes, rows, device)
        simpson = flag_column(spec.energy == "simpson", rows, device)
        return Columns(WalkPlan.of(spec, rows, device), step_size, simpson)

    def begin(self, x: Tensor) -> Proposal:
        nothing = torch.zeros_like(x)
        none = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        return Proposal(nothing, nothing, nothing, none)

    def ask(self, problem: Problem[Columns], state: State[Proposal]) -> Query:
        walk, proposal = state
        awaited = self._awaited(problem.columns, walk.nfe)
        x = where(awaited.judged, proposal.x, walk.x)
        x = where(awaited.midway, (walk.x + proposal.x) / 2, x)
        return super().ask(problem, state)._replace(x=x)

    def draws(self, plan: WalkPlan, state: State[Proposal]) -> tuple[Draw, ...]:
        place = plan.place(state.nfe)
        proposal = Draw(NORMAL, Stream.PROPOSAL, place, tuple(state.x.shape[1:]))
        return proposal, Draw(UNIFORM, Stream.ACCEPT, place, ())

    def inside(
        self,
        problem: Problem[Columns],
        state: State[Proposal],
        kernel: Kernel,
        eps: Tensor,
        draws: Sequence[Tensor],
    ) -> tuple[Tensor, Proposal]:
        plan, step_sizes, simpson = problem.columns
        direction, chance = draws
        walk, proposal = state
        awaited = self._awaited(problem.columns, walk.nfe)
        step_size = plan.of_segment(step_sizes, walk.nfe)
        middle = where(awaited.midway, eps, proposal.middle)
        judged = proposal._replace(middle=where(simpson, middle, (proposal.eps + eps) / 2))
        ratio = self.log_ratio(kernel, step_size, walk.x, judged, eps)
        accept = awaited.judged & (whole(torch.log, chance) < ratio)
        x = where(accept, proposal.x, walk.x)
        x = where(eps.isfinite().flatten(1).all(1), x, torch.full_like(x, torch.nan))
        kept = where(accept | awaited.first, eps, proposal.eps)
        proposed = kernel.langevin(x, kept, step_size, direction)
        return x, Proposal(
            kept, where(awaited.midway, proposal.x, proposed), middle, proposal.accepted + accept
        )

    def known(self, eps: Tensor, own: Proposal) -> Tensor:
        return own.eps

    def sample(self, problem: Problem[Columns], state: State[Proposal]) -> Sample:
        plan, _, simpson = problem.columns
        proposals = plan.segments * ((plan.chain - 1) // (1 + simpson.long()))
        rate = state.own.accepted.double() / proposals
        return super().sample(problem, state)._replace(acceptance_rate=rate)

    def log_ratio(
        self, kernel: Kernel, step: Tensor, x: Tensor, proposal: Proposal, eps: Tensor
    ) -> Tensor:
        """`log_acceptance` of the proposal, where the prediction is `eps`, from `x`."""
        return log_acceptance(kernel, step, x, proposal, eps)

    def _awaited(self, columns: Columns, nfe: Tensor) -> Awaited:
        phase = columns.plan.phase(nfe)
        midway = columns.simpson & (phase % 2 == 1)
        step = phase > 0
        return Awaited(phase == 0, step & midway, step & ~midway)


def log_acceptance(
    kernel: Kernel, step: Tensor, x: Tensor, proposal: Proposal, proposal_eps: Tensor
) -> Tensor:
    """Return the log of the Metropolis ratio `[rows]` for `proposal` from `x` at steps c `[rows]`;
    predictions are given at both ends and half-way.

    -(g(y) - g(x)) + log q(x | y) - log q(y | x), where the change of g is exact in its quadratic
    part and Simpson's rule in the other. The trapezoid rule would cancel the cross terms of the
    proposal ratio: what is left is its -(c / 4) sum M (|grad g(y)|^2 - |grad g(x)|^2), and what
    Simpson's rule adds to it, nothing where `middle` is the mean of the ends.
    """
    eps, y, middle, _ = proposal
    before, after = kernel.drift(x, eps), kernel.drift(y, proposal_eps)
    gradients = per_row(step) / 4 * kernel.per_mass(after.square() - before.square())
    curvature = eps.double() - 2 * middle.double() + proposal_eps.double()
    bend = (y.double() - x.double()) * curvature / (3 * kernel.there.sigma)
    return (bend - gradients).flatten(1).sum(1)
