"""The subjects of the laws: every registered solver, small steps, rows as serving holds them.

A lane is padded to a multiple of rows before each call, as in serving: PyTorch's vectorised
loops leave a tensor's tail to scalar code, which may differ from theirs in the last bit. Under
that one condition the laws ask for equal bytes.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, get_args, get_origin

import optree
import torch
from torch import Tensor

from models.anomaly.rows import verdict_problem
from models.evaluation.analytic import Mixture
from models.rows.denoiser import Denoiser
from models.rows.rows import QUANTUM, Answer, count, pad, take
from models.schema.config import ModelConfig
from models.schema.specs import AdaptiveSpec, FlowPath, FlowSpec, Levels, SamplerSpec
from models.schema.walks import SolverSpec, WalkSpec
from models.solvers import SAMPLERS, SOLVERS
from models.solvers.base import Problem, RowStatus
from models.solvers.levels import LevelsSolver
from models.solvers.path import PathSolver
from models.work.likelihood import score_problem
from models.work.sampling import sample_problem

CONFIG = ModelConfig(
    image_shape=(2, 3, 1), vocabulary=17, latent_size=4, latent_k=1, gamma_min=-7.9, gamma_max=5.0
)
DENOISER = Mixture(
    CONFIG,
    torch.tensor([0.5, 0.3, 0.2]),
    torch.linspace(-0.8, 0.8, 18).view(6, 3).T,
    torch.full((3, 6), 0.05),
)
# Its images are whole vectors, so that rows need no padding.
WHOLE = Mixture(
    ModelConfig(image_shape=(8, 8, 1), vocabulary=17, latent_size=4, latent_k=1),
    torch.tensor([0.5, 0.3, 0.2]),
    torch.linspace(-0.8, 0.8, 192).view(64, 3).T,
    torch.full((3, 64), 0.05),
)
PIECES, LOOSE = 3, 2.0
ROWS = 11

Rows = tuple[Problem[Any], Any]
"""A problem and a state, of the same rows."""


def specs() -> list[SolverSpec]:
    """Small parameters of every solver, and those with each other named choice in turn."""
    return [
        spec
        for kind in _members(SamplerSpec | FlowSpec | FlowPath | Levels)
        for spec in _tries(kind)
    ]


def _tries(kind: type[SolverSpec]) -> Iterator[SolverSpec]:
    fields = kind.model_fields
    short = small(kind)
    yield short
    for name, field in fields.items():
        if get_origin(field.annotation) is Literal:
            for choice in get_args(field.annotation):
                if choice != getattr(short, name):
                    yield short.replaced(**{name: choice})


def small(kind: type[SolverSpec]) -> SolverSpec:
    """A few steps or segments, and of whatever else is counted, one more than the least."""
    if issubclass(kind, AdaptiveSpec):
        return kind(tolerance_nats=LOOSE)
    few = {name: least + 1 for name, least in _counts(kind).items()}
    spec = kind(**few)
    return spec.with_pieces(PIECES) if isinstance(spec, WalkSpec) else spec


def _counts(kind: type[SolverSpec]) -> dict[str, int]:
    """The least value of each field that counts something."""
    return {
        name: next(bound.ge for bound in field.metadata if hasattr(bound, "ge"))
        for name, field in kind.model_fields.items()
        if field.annotation is int
    }


def _members(union: Any) -> list[type[SolverSpec]]:
    """The spec classes of a nested union; what annotates it is none."""
    if isinstance(union, type):
        return [union]
    return [member for part in get_args(union) for member in _members(part)]


SPECS = specs()


def solver_of(spec: Any) -> Any:
    return SOLVERS[spec.name]


def problem_of(
    spec: Any, index: Tensor, seed: int = 0, denoiser: Denoiser = DENOISER
) -> Problem[Any]:
    """Rows `index` of a request: images to draw, or random images to score."""
    padded = pad(index, QUANTUM)
    if spec.name in SAMPLERS:
        problem: Problem[Any] = sample_problem(denoiser, spec, seed, padded)
    else:
        dice = torch.Generator().manual_seed(17)
        images = torch.randint(17, (int(index.max()) + 1, *denoiser.config.chw), generator=dice)
        tokens = images[padded].to(torch.uint8)
        if isinstance(spec, FlowPath | Levels):
            problem = verdict_problem(denoiser, tokens, spec, seed)
        else:
            problem = score_problem(denoiser, tokens, spec, seed, draws=1)
    return take(problem, torch.arange(len(index)))


def rows_of(spec: Any, index: Tensor, seed: int = 0) -> Rows:
    """Rows at their very beginning."""
    problem = problem_of(spec, index, seed)
    state = solver_of(spec).init(pad(problem, QUANTUM))
    return problem, take(state, torch.arange(len(index)))


def answer(solver: Any, rows: Rows) -> tuple[Rows, Answer]:
    """The padded rows, and what the denoiser answers them."""
    padded = pad(rows, QUANTUM)
    return padded, DENOISER.evaluate(solver.ask(*padded), padded[0].condition)


def tell(solver: Any, rows: Rows) -> Rows:
    """One evaluation of all `rows`."""
    (problem, state), told = answer(solver, rows)
    return rows[0], take(solver.tell(problem, state, told), torch.arange(count(rows)))


def running(solver: Any, rows: Rows) -> Tensor:
    status: Tensor = solver.status(*rows) == RowStatus.RUNNING
    return status


def finish(solver: Any, rows: Rows) -> Rows:
    while running(solver, rows).any():
        rows = tell(solver, rows)
    return rows


def finished(spec: Any) -> Rows:
    """All rows of a request at their end."""
    rows: Rows = copy(_finished(spec))
    return rows


@cache
def _finished(spec: Any) -> Rows:
    return finish(solver_of(spec), rows_of(spec, torch.arange(ROWS)))


def evaluations(solver: Any, rows: Rows) -> Tensor:
    """Evaluations of each row by its own count."""
    if solver.name in SAMPLERS:
        outcome = solver.sample(*rows)
    elif isinstance(solver, LevelsSolver):
        outcome = solver.scores(*rows)
    else:
        outcome = solver.path(*rows) if isinstance(solver, PathSolver) else solver.density(*rows)
    told: Tensor = outcome.nfe
    return told


def as_wide(one: Any, other: Any) -> bool:
    """True if all leaves have equal shapes but for the rows."""
    leaves = zip(optree.tree_leaves(one), optree.tree_leaves(other), strict=True)
    return all(a.shape[1:] == b.shape[1:] for a, b in leaves)


def same(one: Any, other: Any) -> bool:
    """Equal structure, types and bytes; NaN equals NaN."""
    leaves, others = optree.tree_leaves(one), optree.tree_leaves(other)
    return optree.tree_structure(one) == optree.tree_structure(other) and all(
        a.dtype == b.dtype
        and torch.equal(a.isnan(), b.isnan())
        and a[~a.isnan()].equal(b[~b.isnan()])
        for a, b in zip(leaves, others, strict=True)
    )


def copy(tree: Any) -> Any:
    return optree.tree_map(torch.clone, tree)
