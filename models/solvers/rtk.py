"""The shape of every reverse-transition-kernel sampler: a walk, an inner chain in each segment."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from torch import Tensor

from models.rows.noise import Draw, draw
from models.rows.rows import Answer, Query
from models.solvers.base import Problem
from models.solvers.counted import Drawing
from models.solvers.kernel import Kernel, Walk, WalkPlan

Own = TypeVar("Own")


class Planned(Protocol):
    """Columns that hold the plan of the walk."""

    @property
    def plan(self) -> WalkPlan: ...


ColumnsT = TypeVar("ColumnsT", bound=Planned)


class State(NamedTuple, Generic[Own]):
    """The walk, and the method's `own` part of the inner chain's state."""

    walk: Walk
    own: Own

    @property
    def x(self) -> Tensor:
        return self.walk.x

    @property
    def nfe(self) -> Tensor:
        return self.walk.nfe


class Rtk(Drawing[ColumnsT, State[Own]], Generic[ColumnsT, Own]):
    """A method says what its chain begins with, and what one answer inside the chain does."""

    @abstractmethod
    def begin(self, x: Tensor) -> Own:
        """Return the method's own state before the first segment, for x `[rows, C, H, W]`."""

    @abstractmethod
    def draws(self, plan: WalkPlan, state: State[Own]) -> tuple[Draw, ...]:
        """Return the draws that an answer inside the chain needs."""

    @abstractmethod
    def inside(
        self,
        problem: Problem[ColumnsT],
        state: State[Own],
        kernel: Kernel,
        eps: Tensor,
        draws: Sequence[Tensor],
    ) -> tuple[Tensor, Own]:
        """Return the chain's x `[rows, C, H, W]` and own state after the answer `eps` inside the
        chain, by the values of its `draws`.

        Rows that stand at a segment's start are computed too; the walk replaces their x.
        """

    def known(self, eps: Tensor, own: Own) -> Tensor:
        """Return the prediction at the chain's x `[rows, C, H, W]`, after the answer `eps`, of a
        method whose spec says that it knows it; of another, anything."""
        return eps

    def evaluations(self, columns: ColumnsT) -> Tensor:
        return columns.plan.evaluations

    def init(self, problem: Problem[ColumnsT]) -> State[Own]:
        walk = Walk.begin(problem.key, problem.condition, problem.columns.plan)
        return State(walk, self.begin(walk.x))

    def ask(self, problem: Problem[ColumnsT], state: State[Own]) -> Query:
        return state.walk.query(problem.columns.plan)

    def move(self, problem: Problem[ColumnsT], state: State[Own], answer: Answer) -> State[Own]:
        key, condition, columns = problem
        kernel = state.walk.kernel()
        onward, *draws = draw(key, state.walk.draw(columns.plan), *self.draws(columns.plan, state))
        x, own = self.inside(problem, state, kernel, answer.eps, draws)
        known = self.known(answer.eps, own)
        walk = state.walk.advance(condition, columns.plan, answer.eps, x, known, onward)
        return State(walk, own)
