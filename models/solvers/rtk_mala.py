"""RTK with Metropolis-adjusted Langevin steps, from scores alone (Huang et al., NeurIPS 2024,
algorithm 2, with the change of log-density a line integral of the score)."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.network.schedule import per_row
from models.rows.noise import Stream, normal, uniform
from models.rows.rows import Answer, Condition, Query, where
from models.schema.specs import RtkMala
from models.solvers.base import Problem, Sample, finished
from models.solvers.kernel import Kernel, Plan, Walk, segment_table


class Columns(NamedTuple):
    """The plan, each segment's step size `[rows, MOST_POINTS]`, and the rule of the integral."""

    plan: Plan
    step_size: Tensor
    simpson: Tensor


class State(NamedTuple):
    """The walk; the prediction `eps` at its x, kept on rejection; the proposal; the prediction
    half-way to it; and the number of proposals accepted."""

    walk: Walk
    eps: Tensor
    proposal: Tensor
    middle: Tensor
    accepted: Tensor


class Turn(NamedTuple):
    """What the next answer is, `[rows]` booleans: the chain's first prediction, the one half-way
    to the proposal, or the one at the proposal; at an ancestral start, none of them."""

    first: Tensor
    midway: Tensor
    judged: Tensor


class RtkMalaSolver:
    """The proposal of RTK-ULA, and one acceptance for all dimensions of a row.

    A prediction that is not finite is no rejection: it says nothing about the density. It turns
    the row's x into NaN for good, so that the row ends as NOT_FINITE.
    """

    name = "rtk-mala"

    def evaluations(self, spec: RtkMala) -> int:
        return spec.evaluations

    def columns(self, spec: RtkMala, rows: int, device: torch.device) -> Columns:
        simpson = spec.energy == "simpson"
        plan = Plan.of(spec, 1 + (1 + simpson) * spec.inner_steps, rows, device)
        simpsons = torch.full((rows,), simpson, device=device)
        return Columns(plan, segment_table(spec.segment_step_sizes, rows, device), simpsons)

    def init(self, problem: Problem[Columns]) -> State:
        walk = Walk.begin(problem.key, problem.condition, problem.columns.plan)
        nothing = torch.zeros_like(walk.x)
        return State(walk, nothing, nothing, nothing, torch.zeros_like(walk.nfe))

    def ask(self, problem: Problem[Columns], state: State) -> Query:
        walk, turn = state.walk, self._turn(problem.columns, state)
        x = where(turn.judged, state.proposal, walk.x)
        x = where(turn.midway, (walk.x + state.proposal) / 2, x)
        return walk.query(problem.columns.plan)._replace(x=x)

    def tell(self, problem: Problem[Columns], state: State, answer: Answer) -> State:
        key, condition, (plan, step_sizes, simpson) = problem
        walk, turn = state.walk, self._turn(problem.columns, state)
        step_size = plan.of_segment(step_sizes, walk.nfe)
        kernel = walk.kernel(condition)
        middle = where(turn.midway, answer.eps, state.middle)
        rule = where(simpson, middle, (state.eps + answer.eps) / 2)
        ratio = self.log_ratio(condition, walk, kernel, step_size, state, rule, answer.eps)
        accept = turn.judged & (uniform(key, Stream.ACCEPT, walk.nfe, ()).log() < ratio)
        x = where(accept, state.proposal, walk.x)
        x = where(answer.eps.isfinite().flatten(1).all(1), x, torch.full_like(x, torch.nan))
        eps = where(accept | turn.first, answer.eps, state.eps)
        draw = normal(key, Stream.PROPOSAL, walk.nfe, tuple(x.shape[1:]))
        proposal = where(turn.midway, state.proposal, kernel.langevin(x, eps, step_size, draw))
        moved = State(
            walk.advance(key, condition, plan, kernel, answer.eps, x),
            eps,
            proposal,
            middle,
            state.accepted + accept,
        )
        return where(walk.nfe < plan.evaluations, moved, state)

    def status(self, problem: Problem[Columns], state: State) -> Tensor:
        return finished(state.walk.nfe >= problem.columns.plan.evaluations, state.walk.x)

    def progress(self, problem: Problem[Columns], state: State) -> Tensor:
        return state.walk.nfe / problem.columns.plan.evaluations

    def sample(self, problem: Problem[Columns], state: State) -> Sample:
        plan, _, simpson = problem.columns
        proposals = plan.segments * ((plan.chain - 1) // (1 + simpson.long()))
        return Sample(state.walk.x, state.walk.nfe, state.accepted.double() / proposals)

    def log_ratio(
        self,
        condition: Condition,
        walk: Walk,
        kernel: Kernel,
        step: Tensor,
        state: State,
        middle: Tensor,
        eps: Tensor,
    ) -> Tensor:
        """`log_acceptance` of the proposal, predictions `middle` half-way and `eps` there."""
        return log_acceptance(kernel, step, walk.x, state.proposal, state.eps, middle, eps)

    def _turn(self, columns: Columns, state: State) -> Turn:
        phase = columns.plan.phase(state.walk.nfe)
        odd = phase % 2 == 1
        step = phase > 0
        return Turn(phase == 0, step & columns.simpson & odd, step & ~(columns.simpson & odd))


def log_acceptance(
    kernel: Kernel,
    step: Tensor,
    x: Tensor,
    proposal: Tensor,
    eps: Tensor,
    middle: Tensor,
    proposal_eps: Tensor,
) -> Tensor:
    """log of the Metropolis ratio `[rows]`, predictions given at both ends and half-way.

    -(g(y) - g(x)) + log q(x | y) - log q(y | x), where the change of g is exact in its quadratic
    part and Simpson's rule in the other. The trapezoid rule would cancel the cross terms of the
    proposal ratio: what is left is its -(c / 4) sum M (|grad g(y)|^2 - |grad g(x)|^2), and what
    Simpson's rule adds to it, nothing where `middle` is the mean of the ends.
    """
    before, after = kernel.drift(x, eps), kernel.drift(proposal, proposal_eps)
    gradients = per_row(step) / 4 * kernel.per_mass(after.square() - before.square())
    curvature = eps.double() - 2 * middle.double() + proposal_eps.double()
    bend = (proposal.double() - x.double()) * curvature / (3 * kernel.there.sigma)
    return (bend - gradients).flatten(1).sum(1)
