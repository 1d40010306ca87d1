"""Continuous batching as a user of LitServe writes it: no scheduler, no fairness, no limits.

Every step advances all rows in flight by one network call, whatever their solvers and steps.
"""

from collections import deque
from typing import Any, NamedTuple

import numpy as np
import torch

from loadtests.peers.servers.solving import Begun, Json, answer, begin
from models.rows.denoiser import Denoiser
from models.rows.rows import concat, split, take
from models.solvers import SOLVERS
from models.solvers.base import Problem


class Group(NamedTuple):
    """The rows in flight of one solver: for each request its number of rows and of evaluations to
    go, for all rows their problems and states."""

    requests: list[tuple[str, Begun]]
    left: np.ndarray
    problem: Problem[Any]
    state: Any


class ContinuousBatch:
    """The rows in flight. `add` may be called from another thread than `step`."""

    def __init__(self, denoiser: Denoiser, capacity: int) -> None:
        self.denoiser, self.capacity = denoiser, capacity
        self.waiting: deque[tuple[str, Json]] = deque()
        self.groups: dict[str, Group] = {}
        self.rows = 0

    @property
    def busy(self) -> bool:
        """Whether a request waits or is in flight."""
        return self.rows > 0 or len(self.waiting) > 0

    def add(self, uid: str, request: Json) -> None:
        """Take in a request for images, whose rows begin with the next step that has room."""
        self.waiting.append((uid, request))

    @torch.no_grad()
    def step(self) -> list[tuple[str, Json]]:
        """Advance every row by one evaluation, and return the answers of requests that ended.

        Waiting requests begin first, in their order, while fewer than `capacity` rows are in
        flight.
        """
        while self.waiting and self.rows < self.capacity:
            self._begin(*self.waiting.popleft())
        names = list(self.groups)
        questions = [
            (SOLVERS[name].ask(group.problem, group.state), group.problem.condition)
            for name, group in self.groups.items()
        ]
        if not questions:
            return []
        query, condition = concat(questions)
        replies = split(
            self.denoiser.evaluate(query, condition), [len(one.x) for one, _ in questions]
        )
        ended = []
        for name, reply in zip(names, replies, strict=True):
            group = self.groups[name]
            state = SOLVERS[name].tell(group.problem, group.state, reply)
            ended += self._end(name, group._replace(left=group.left - 1, state=state))
        return ended

    def _begin(self, uid: str, request: Json) -> None:
        begun = begin(self.denoiser, request)
        new = Group(
            [(uid, begun)],
            np.array([begun.spec.evaluations]),
            begun.problem,
            begun.solver.init(begun.problem),
        )
        old = self.groups.get(begun.spec.name)
        if old is not None:
            new = Group(
                old.requests + new.requests,
                np.append(old.left, new.left),
                *concat([old[2:], new[2:]]),
            )
        self.groups[begun.spec.name] = new
        self.rows += begun.rows

    def _end(self, name: str, group: Group) -> list[tuple[str, Json]]:
        """Keep a group without the requests that have ended, and return their answers."""
        stay = group.left > 0
        self.groups[name] = group
        if stay.all():
            return []
        sizes = [begun.rows for _, begun in group.requests]
        states = split(group.state, sizes)
        ended = [
            (uid, answer(self.denoiser, begun, states[place]))
            for place, (uid, begun) in enumerate(group.requests)
            if not stay[place]
        ]
        kept = torch.from_numpy(np.flatnonzero(np.repeat(stay, sizes)))
        self.rows -= sum(sizes) - len(kept)
        if len(kept):
            requests = [one for one, stays in zip(group.requests, stay, strict=True) if stays]
            self.groups[name] = Group(requests, group.left[stay], *take(group[2:], kept))
        else:
            del self.groups[name]
        return ended
