"""Two-step multistep rules for the ODE and for the ancestral step (Lu et al., 2022)."""

from abc import abstractmethod
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from models.network.schedule import NoiseLevel, per_row
from models.rows.noise import Stream, normal
from models.rows.rows import Moment
from models.schema.fields import MOST_POINTS
from models.schema.specs import Dpm2mSde
from models.solvers.base import Problem
from models.solvers.ddim import ode_step
from models.solvers.ddpm import ancestral_step
from models.solvers.grid import Points
from models.solvers.multistep import carried, implied_eps, predicted_data
from models.solvers.stepwise import Plain, Stepwise

ColumnsT = TypeVar("ColumnsT")


class State(NamedTuple):
    """A walk, as `stepwise.Standing` has it, with the data predicted one step before and gamma
    there, both `[rows, C, H, W]`."""

    x: Tensor
    nfe: Tensor
    here: Moment
    previous: Tensor
    before: Tensor


class _Multistep(Stepwise[ColumnsT, State]):
    """A step by the data carried half-way along the line through the last two predictions."""

    def begin(self, x: Tensor, nfe: Tensor, here: Moment) -> State:
        return State(x, nfe, here, torch.zeros_like(x), here.noise.gamma)

    def step(self, problem: Problem[ColumnsT], state: State, eps: Tensor, there: Moment) -> State:
        here = state.here.noise
        data = predicted_data(state.x, eps, here)
        weight = self.extrapolation(problem.columns, state.nfe)
        onward = carried(data, state.previous, state.before, here, there.noise, weight)
        eps = implied_eps(state.x, onward, here)
        x = self.onward(problem, state, eps, here, there.noise)
        return State(x, state.nfe + 1, there, data.to(state.x.dtype), here.gamma)

    def extrapolation(self, columns: ColumnsT, index: Tensor) -> Tensor | None:
        """Return the weight of `carried` in step `index` `[rows]`, `[rows, 1, 1, 1]`; None for 1
        in every row."""
        return None

    @abstractmethod
    def onward(
        self,
        problem: Problem[ColumnsT],
        state: State,
        eps: Tensor,
        here: NoiseLevel,
        there: NoiseLevel,
    ) -> Tensor:
        """x at `there` by the method's one-step rule, with `eps` that implies the carried data."""


class Dpm2mSolver(_Multistep[Points], Plain[State]):
    """DPM-Solver++(2M), in every dimension by its own gamma: of second order in its fall."""

    name = "dpm-2m"

    def onward(
        self,
        problem: Problem[Points],
        state: State,
        eps: Tensor,
        here: NoiseLevel,
        there: NoiseLevel,
    ) -> Tensor:
        return ode_step(state.x, eps, here, there)


class Weighted(NamedTuple):
    """The grid of each row, and two weights of each of its steps, `[rows, MOST_POINTS]` float64;
    both are 1 where the spec has none. Rows of more steps have no weights of their own."""

    points: Points
    extrapolation: Tensor
    eta: Tensor


class Dpm2mSdeSolver(_Multistep[Weighted]):
    """SDE-DPM-Solver++(2M): the draw of DDPM about the carried data.

    A step's `eta` is its share of that draw's noise: the variance that is not drawn stays with the
    predicted noise, as in DDIM (Song et al., 2021, eq. 16), and 0 is the step of `dpm-2m`.
    """

    name = "dpm-2m-sde"

    def points(self, columns: Weighted) -> Points:
        return columns.points

    def columns(self, spec: Dpm2mSde, rows: int, device: torch.device) -> Weighted:
        points = Points.of(spec, rows, device)
        extrapolation, eta = (
            _step_weights(weights, rows, device) for weights in (spec.extrapolation, spec.eta)
        )
        return Weighted(points, extrapolation, eta)

    def extrapolation(self, columns: Weighted, index: Tensor) -> Tensor:
        return _of_step(columns.extrapolation, index)

    def onward(
        self,
        problem: Problem[Weighted],
        state: State,
        eps: Tensor,
        here: NoiseLevel,
        there: NoiseLevel,
    ) -> Tensor:
        draw = normal(problem.key, Stream.STEP, state.nfe, tuple(state.x.shape[1:]))
        eta = _of_step(problem.columns.eta, state.nfe)
        return partial_draw(state.x, eps, here, there, draw, eta)


def partial_draw(
    x: Tensor, eps: Tensor, here: NoiseLevel, there: NoiseLevel, draw: Tensor, eta: Tensor
) -> Tensor:
    """Return x at `there`, of whose ancestral noise only the share `eta` `[rows, 1, 1, 1]` is
    drawn: `ancestral_step` where it is 1, bit for bit, and `ode_step` where it is 0."""
    c = -torch.expm1((there.gamma - here.gamma).clamp(max=0))
    kept = (1 - eta.square() * c).sqrt() - (1 - c).sqrt()
    drawn = ancestral_step(x, eps, here, there, eta * draw)
    return (drawn + there.sigma * kept * eps).to(x.dtype)


def _step_weights(weights: tuple[float, ...] | None, rows: int, device: torch.device) -> Tensor:
    """Return `weights`, and 1 for every step that has none, `[rows, MOST_POINTS]`."""
    found = torch.ones(rows, MOST_POINTS, dtype=torch.float64, device=device)
    if weights is not None:
        found[:, : len(weights)] = torch.tensor(weights, dtype=torch.float64, device=device)
    return found


def _of_step(weights: Tensor, index: Tensor) -> Tensor:
    """Return the weight of step `index` `[rows]`, `[rows, 1, 1, 1]`."""
    return per_row(weights.gather(1, index.clamp(max=MOST_POINTS - 1)[:, None])[:, 0])
