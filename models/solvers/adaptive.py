"""The shape of every solver of the probability-flow ODE that chooses its steps: `adams`, `rk45`."""

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from models.rows.rows import Answer, Moment, Query, where
from models.solvers.base import Problem, RowStatus
from models.solvers.flow import Columns, LogDensity, divergence, end, question, within
from models.solvers.probing import TraceError, fixed_error

# A row whose step would become shorter than this, in the network's time, has failed.
MIN_STEP = 1e-7

Own = TypeVar("Own")


class State(NamedTuple, Generic[Own]):
    """A step from the network's time `s` to `s + step`, each `[rows]`.

    `x` is x_t / alpha at `s`, `[rows, C, H, W]`; `log_det` `[rows, probes]` the integral so far;
    both are float64. `nfe` counts the evaluations told, `code` is the row's `RowStatus` (int8),
    and `own` the memory of the method itself.
    """

    s: Tensor
    step: Tensor
    x: Tensor
    log_det: Tensor
    nfe: Tensor
    code: Tensor
    own: Own


class Adaptive(ABC, Generic[Own]):
    """A method says what it asks, what an answer does, and how an error changes the step.

    Lengths of steps are in the network's time. The first step is at most `first_gamma` of the
    fastest pixel's gamma, and none is longer than `longest` allows. A step whose error is more than
    `refused` times what it should be is taken again, shorter.

    Questions are put in `dtype`. `fixed_steps` replaces step control by so many equal steps.
    """

    name: str
    first_gamma: ClassVar[float]
    refused: ClassVar[float]

    def __init__(self, fixed_steps: int | None = None, dtype: torch.dtype = torch.float32) -> None:
        self.fixed_steps = fixed_steps
        self.dtype = dtype

    @abstractmethod
    def begin(self, problem: Problem[Columns]) -> Own:
        """Return the memory of the method before its first step."""

    @abstractmethod
    def ahead(self, problem: Problem[Columns], state: State[Own]) -> tuple[Moment, Tensor]:
        """Return the place of the next question: the moment, and x_t / alpha `[rows, C, H, W]`."""

    @abstractmethod
    def hear(
        self, problem: Problem[Columns], state: State[Own], eps: Tensor, rate: Tensor
    ) -> State[Own]:
        """Return the state after `eps` `[rows, C, H, W]` and d log_det/ds `[rows, probes]` at that
        place.

        A method calls `judge` where the answer completes a step.
        """

    @abstractmethod
    def growth(self, state: State[Own], excess: Tensor) -> Tensor:
        """Return the next step over this one, `[rows]`, after a step that was accepted."""

    @abstractmethod
    def shrinkage(self, excess: Tensor) -> Tensor:
        """Return the next attempt at a step over this one, `[rows]`, after a step that was
        refused."""

    @abstractmethod
    def longest(self, problem: Problem[Columns], s: Tensor) -> Tensor:
        """Return the longest step from `s`, `[rows]`."""

    @abstractmethod
    def error(self, problem: Problem[Columns], state: State[Own]) -> Tensor:
        """Return the estimate of the whole solve's error `[rows]`, in nats."""

    def probes(self, problem: Problem[Columns], state: State[Own]) -> Tensor:
        """Return the probes of the next question, `[rows, probes, C, H, W]`."""
        return problem.columns.probes

    def trace_error(self, problem: Problem[Columns], state: State[Own]) -> TraceError:
        """Return the error that the probes leave in the finished rows."""
        return fixed_error(state.log_det)

    def init(self, problem: Problem[Columns]) -> State[Own]:
        columns = problem.columns
        zero, none = torch.zeros_like(columns.tolerance), torch.zeros_like(columns.max_evaluations)
        if self.fixed_steps is None:
            fastest = problem.condition.dgamma_ds(zero).flatten(1).amax(1)
            step = (self.first_gamma / fastest).minimum(self.longest(problem, zero))
        else:
            step = zero + 1 / self.fixed_steps
        return State(
            s=zero,
            step=step,
            x=columns.image,
            log_det=columns.image.new_zeros(columns.probes.shape[:2]),
            nfe=none,
            code=none.to(torch.int8),
            own=self.begin(problem),
        )

    def ask(self, problem: Problem[Columns], state: State[Own]) -> Query:
        there, x = self.ahead(problem, state)
        return question(problem.condition, there, x, self.probes(problem, state), self.dtype)

    def tell(self, problem: Problem[Columns], state: State[Own], answer: Answer) -> State[Own]:
        eps, rate = answer.eps.double(), divergence(answer, self.probes(problem, state))
        asked = state._replace(nfe=state.nfe + 1)
        told = self.hear(problem, asked, eps, rate)
        spent = (told.code == RowStatus.RUNNING) & (told.nfe >= problem.columns.max_evaluations)
        told = told._replace(code=_code(spent, RowStatus.TOO_MANY_EVALUATIONS, told.code))
        finite = eps.isfinite().flatten(1).all(1) & rate.isfinite().all(1)
        failed = asked._replace(code=_code(finite, RowStatus.RUNNING, RowStatus.NOT_FINITE))
        return where(state.code == RowStatus.RUNNING, where(finite, told, failed), state)

    def status(self, problem: Problem[Columns], state: State[Own]) -> Tensor:
        return state.code

    def progress(self, problem: Problem[Columns], state: State[Own]) -> Tensor:
        return state.s

    def density(self, problem: Problem[Columns], state: State[Own]) -> LogDensity:
        """Return the terms of the finished rows; those of a row that is not DONE mean nothing."""
        _, prior, log_det = end(problem.condition.schedule, state.x, state.log_det)
        return LogDensity(
            prior,
            log_det,
            self.trace_error(problem, state),
            problem.columns.dequantization,
            problem.columns.latent,
            self.error(problem, state),
            state.nfe,
            state.code,
        )

    def judge(
        self,
        problem: Problem[Columns],
        state: State[Own],
        accepted: State[Own],
        excess: Tensor,
    ) -> State[Own]:
        """`accepted`, the state after a step, where its error allows that; else `state`, the one
        before it, with a shorter step. `excess` `[rows]` is the error over what it should be."""
        done = accepted.s == 1
        accepted = accepted._replace(code=_code(done, RowStatus.DONE, RowStatus.RUNNING))
        if self.fixed_steps is None:
            grown = state.step * self.growth(state, excess)
            shrunk = state.step * self.shrinkage(excess)
            small = _code(shrunk < MIN_STEP, RowStatus.STEP_TOO_SMALL, RowStatus.RUNNING)
            accepted = where(
                excess <= self.refused,
                accepted._replace(step=grown.minimum(self.longest(problem, accepted.s))),
                state._replace(step=shrunk, code=small),
            )
        return accepted._replace(step=within(accepted.step, accepted.s))


def _code(condition: Tensor, yes: RowStatus, no: RowStatus | Tensor) -> Tensor:
    """Return the status `yes` where `condition` `[rows]` holds, else `no`, as int8."""
    return torch.where(condition, int(yes), no if isinstance(no, Tensor) else int(no)).to(
        torch.int8
    )
