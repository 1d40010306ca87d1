"""The part that all peers share: a request as rows of our solvers, and finished rows as an answer.

Requests and answers have the form of our own API.
"""

import base64
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.files.modes import picture_levels
from models.files.pictures import encode_png, to_tokens
from models.network.pixels import data_to_tokens
from models.rows.denoiser import Denoiser
from models.rows.rows import concat, split, take
from models.schema.config import ModelConfig
from models.schema.specs import Adams, SamplerSpec, sampler_spec
from models.solvers import SAMPLERS, SOLVERS
from models.solvers.adams import AdamsSolver
from models.solvers.base import AnySolver, Problem, RowStatus
from models.work.likelihood import score_problem, summarise
from models.work.sampling import sample_problem

Json = dict[str, Any]


class Begun(NamedTuple):
    """A request as rows: its spec, and the problem of each row."""

    spec: SamplerSpec | Adams
    problem: Problem[Any]

    @property
    def solver(self) -> AnySolver:
        """The method that solves the rows."""
        return SOLVERS[self.spec.name]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.problem.key.seed)


def begin(denoiser: Denoiser, request: Json) -> Begun:
    """Return the rows of a request for images, or of one for likelihoods."""
    if "images" in request:
        return _begin_scores(denoiser, request)
    spec = sampler_spec(**request["solver"])
    index = torch.arange(request["count"])
    return Begun(spec, sample_problem(denoiser, spec, request["seed"], index))


def _begin_scores(denoiser: Denoiser, request: Json) -> Begun:
    config = denoiser.config
    images = [_tokens(png, config) for png in request["images"]]
    tokens = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    spec = Adams(probes=request["probes"], tolerance_nats=request["tolerance_nats"])
    return Begun(spec, score_problem(denoiser, tokens, spec, request["seed"], draws=1))


def answer(denoiser: Denoiser, begun: Begun, state: Any) -> Json:
    """Return the answer to a request whose rows have ended."""
    solver, config = begun.solver, denoiser.config
    if isinstance(begun.spec, Adams):
        assert isinstance(solver, AdamsSolver)
        rows = split(solver.density(begun.problem, state), [1] * begun.rows)
        scores = [summarise(config, row, begun.spec) for row in rows]
        return {"results": [{"log_px_lower_bound": one.log_px_lower_bound} for one in scores]}
    x = SAMPLERS[solver.name].sample(begun.problem, state).x
    tokens = data_to_tokens(x, config).permute(0, 2, 3, 1).numpy()
    return {"images": [{"png": _png(image, config.vocabulary)} for image in tokens]}


@torch.no_grad()
def solve_together(denoiser: Denoiser, requests: Sequence[Json]) -> list[Json]:
    """Answer several requests at once: those of one solver share its network calls, which shrink
    as rows end, until the last row of all has ended."""
    begun = [begin(denoiser, request) for request in requests]
    answers: dict[int, Json] = {}
    for name in dict.fromkeys(one.spec.name for one in begun):
        group = [number for number, one in enumerate(begun) if one.spec.name == name]
        problem = concat([begun[number].problem for number in group])
        state = _solve(denoiser, SOLVERS[name], problem)
        states = split(state, [begun[number].rows for number in group])
        for number, part in zip(group, states, strict=True):
            answers[number] = answer(denoiser, begun[number], part)
    return [answers[number] for number in range(len(begun))]


def _solve(denoiser: Denoiser, solver: AnySolver, problem: Problem[Any]) -> Any:
    """Return the final states of rows, each of which is evaluated until it ends."""
    state, places = solver.init(problem), torch.arange(len(problem.key.seed))
    ended: list[tuple[Tensor, Any]] = []
    while len(places):
        reply = denoiser.evaluate(solver.ask(problem, state), problem.condition)
        state = solver.tell(problem, state, reply)
        running = solver.status(problem, state) == RowStatus.RUNNING
        if not running.all():
            ended.append((places[~running], take(state, ~running)))
            places, problem, state = take((places, problem, state), running)
    order = torch.cat([where for where, _ in ended]).argsort()
    return take(concat([states for _, states in ended]), order)


def _tokens(png: str, config: ModelConfig) -> NDArray[np.uint8]:
    height, width, channels = config.image_shape
    content = base64.b64decode(png)
    levels = picture_levels(content, height * width, channels, (height, width))
    return to_tokens(levels, config.vocabulary)[0]


def _png(image: NDArray[np.uint8], vocabulary: int) -> str:
    return base64.b64encode(encode_png(image, vocabulary)).decode()
