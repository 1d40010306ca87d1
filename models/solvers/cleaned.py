"""The end of a sample where the noise at t = 0 could be seen: the clean image predicted there."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.rows.rows import Answer, Query, where
from models.solvers.base import AnySampler, Problem, RowStatus, Sample
from models.solvers.multistep import predicted_data


class State(NamedTuple):
    """The state of the `walk`, and of rows that have been `told` about t = 0 the image, in the
    scale of x there, `[rows, C, H, W]`."""

    walk: Any
    image: Tensor
    told: Tensor


class Cleaned:
    """Another sampler, after which each row asks once more, at t = 0, and ends with the clean image
    that the answer points to.

    DDPM's schedule leaves noise of 1.3 grey levels of 255 at t = 0 (Ho et al., 2020), and its own
    samplers end in this way.
    """

    def __init__(self, walk: AnySampler) -> None:
        self.name, self._walk = walk.name, walk

    def columns(self, spec: Any, rows: int, device: torch.device) -> Any:
        return self._walk.columns(spec, rows, device)

    def init(self, problem: Problem[Any]) -> State:
        walk = self._walk.init(problem)
        x = self._walk.sample(problem, walk).x
        return State(walk, x, torch.zeros(len(x), dtype=torch.bool, device=x.device))

    def ask(self, problem: Problem[Any], state: State) -> Query:
        query = self._walk.ask(problem, state.walk)
        at_end = self._arrived(problem, state)
        x = where(at_end, self._walk.sample(problem, state.walk).x, query.x)
        return Query(x, torch.where(at_end, 0.0, query.t))

    def tell(self, problem: Problem[Any], state: State, answer: Answer) -> State:
        now = self._arrived(problem, state) & ~state.told
        x = self._walk.sample(problem, state.walk).x
        noise = problem.condition.schedule.noise(
            torch.zeros_like(problem.condition.schedule.gamma_min)
        )
        clean = (noise.alpha * predicted_data(x, answer.eps, noise)).to(x.dtype)
        walk = self._walk.tell(problem, state.walk, answer)
        return State(walk, where(now, clean, state.image), state.told | now)

    def status(self, problem: Problem[Any], state: State) -> Tensor:
        walked = self._walk.status(problem, state.walk)
        finite = state.image.isfinite().flatten(1).all(1)
        ended = torch.where(finite, int(RowStatus.DONE), int(RowStatus.NOT_FINITE))
        ended = torch.where(state.told, ended, int(RowStatus.RUNNING))
        return torch.where(walked == RowStatus.DONE, ended.to(walked.dtype), walked)

    def progress(self, problem: Problem[Any], state: State) -> Tensor:
        return self._walk.progress(problem, state.walk)

    def sample(self, problem: Problem[Any], state: State) -> Sample:
        found = self._walk.sample(problem, state.walk)
        x = where(state.told, state.image, found.x)
        return found._replace(x=x, nfe=found.nfe + state.told)

    def _arrived(self, problem: Problem[Any], state: State) -> Tensor:
        """Return which rows have walked to t = 0, `[rows]`."""
        return self._walk.status(problem, state.walk) == RowStatus.DONE
