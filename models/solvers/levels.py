"""The network's prediction on an image without noise, at several noise levels."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.network.schedule import per_row
from models.rows.rows import Answer, Query
from models.schema.specs import MOST_LEVELS
from models.solvers.base import Problem
from models.solvers.counted import Counted


class Columns(NamedTuple):
    """The image `[rows, C, H, W]` in data units, float64; the log of the encoder's mass on the
    latent; and the spec."""

    clean: Tensor
    latent_mass: Tensor
    levels: Tensor


class State(NamedTuple):
    """The state after `nfe` answers. `maps` `[rows, MOST_LEVELS, C, H, W]`, float32, holds eps at
    the levels so far; the rest is zero."""

    nfe: Tensor
    maps: Tensor

    @property
    def x(self) -> Tensor:
        """All that was found."""
        return self.maps


class Scores(NamedTuple):
    """The result of the rows: `maps` as in `State`, evaluations and statuses."""

    maps: Tensor
    nfe: Tensor
    status: Tensor


class LevelsSolver(Counted[Columns, State]):
    """eps at (alpha_t x, t) for `levels` times t, which are evenly spread in the network's time.

    -eps / sigma_t is the score of the data's density under the noise of time t (Mahmood, Oliva &
    Styner, "Multiscale score matching for out-of-distribution detection", ICLR 2021). No noise is
    drawn, so that the answer is a function of the image alone.

    Questions are put in `dtype`, and in full precision even where samples are drawn in less.
    """

    name = "levels"

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype

    def evaluations(self, columns: Columns) -> Tensor:
        return columns.levels

    def init(self, problem: Problem[Columns]) -> State:
        clean = problem.columns.clean
        maps = torch.zeros(len(clean), MOST_LEVELS, *clean.shape[1:], device=clean.device)
        return State(torch.zeros_like(problem.columns.levels), maps)

    def ask(self, problem: Problem[Columns], state: State) -> Query:
        columns = problem.columns
        s = (state.nfe.double() + 0.5) / columns.levels
        t = problem.condition.network_time.t(s.clamp(max=1))
        x = problem.condition.schedule.noise(t).alpha * columns.clean
        return Query(x.to(self.dtype), t, _nothing(x.to(self.dtype)))

    def move(self, problem: Problem[Columns], state: State, answer: Answer) -> State:
        places = torch.arange(MOST_LEVELS, device=state.maps.device)
        here = per_row(state.nfe)[:, None] == places[:, None, None, None]
        found = answer.eps[:, None].to(state.maps.dtype)
        return State(state.nfe + 1, torch.where(here, found, state.maps))

    def scores(self, problem: Problem[Columns], state: State) -> Scores:
        """Return the result of the finished rows; that of a row that is not DONE means nothing."""
        return Scores(state.maps, state.nfe, self.status(problem, state))


def _nothing(x: Tensor) -> Tensor:
    """Return no cotangents at all, `[rows, 0, C, H, W]`: a question in full precision."""
    return x.new_zeros(len(x), 0, *x.shape[1:])
