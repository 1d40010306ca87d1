"""Rows, the unit of work. Every leaf of these types has the row axis first."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import optree
import torch
from torch import Tensor

from models.network.network_time import NetworkTime
from models.network.schedule import NoiseLevel, Schedule, per_row

# Vectorised CPU loops leave a tensor's tail to scalar code, which may round differently. A tensor
# with a multiple of 32 elements has no tail, whatever the vector width.
QUANTUM = 32

Tree = TypeVar("Tree")


class NoiseKey(NamedTuple):
    """The key of a row's noise: the seed and the row's own number, `[rows]` int64 each."""

    seed: Tensor
    number: Tensor


class Moment(NamedTuple):
    """A diffusion time of each row, `[rows]` in [0, 1], and the noise there."""

    t: Tensor
    noise: NoiseLevel


class Condition(NamedTuple):
    """The conditioning of the network, fixed for a row's life: the latent, or the class as a
    one-hot latent, and its schedule."""

    latent: Tensor
    schedule: Schedule
    network_time: NetworkTime

    def moment(self, t: Tensor) -> Moment:
        """Return the times `t` `[rows]` together with the noise there."""
        return Moment(t, self.schedule.noise(t))

    def dgamma_ds(self, t: Tensor) -> Tensor:
        """Return the derivative of gamma by the network's time at times `t` `[rows]`, `[rows, C, H,
        W]`."""
        rate = self.schedule.dgamma_dt(t)
        mean = rate.flatten(1).mean(1).clamp(min=torch.finfo(rate.dtype).tiny)
        return rate * per_row((self.schedule.gamma_max - self.schedule.gamma_min) / mean)


class Query(NamedTuple):
    """A solver's query: the network at x `[rows, C, H, W]` and diffusion time t `[rows]`.

    With `cotangents` `[rows, probes, C, H, W]` it also asks for the pull-back of each, and for full
    precision even where `probes` is 0. `noise` is the noise at t, where the solver has it already.
    """

    x: Tensor
    t: Tensor
    cotangents: Tensor | None = None
    noise: NoiseLevel | None = None


class Answer(NamedTuple):
    """The predicted noise `[rows, C, H, W]` and the pull-backs J^T v `[rows, probes, C, H, W]`.

    J = d eps / d x_t, and v are the cotangents of the query.
    """

    eps: Tensor
    vjps: Tensor | None = None


def count(tree: Any) -> int:
    """Return the number of rows of a tree."""
    leaf: Tensor = optree.tree_leaves(tree)[0]
    return leaf.shape[0]


def take(tree: Tree, index: Tensor) -> Tree:
    """Return the rows that `index` `[m]` (int64, or a boolean mask) selects, in its order."""
    return _map(lambda leaf: leaf[index], tree)


def concat(trees: Sequence[Tree]) -> Tree:
    """Join the rows of several trees of one structure, one tree after another."""
    if len(trees) == 1:
        return trees[0]
    return _map(lambda *leaves: torch.cat(leaves), *trees)


def split(tree: Tree, sizes: Sequence[int]) -> list[Tree]:
    """Split a tree into trees of `sizes` rows, the inverse of `concat`."""
    ends = list(itertools.accumulate(sizes))
    return [
        _map(lambda leaf, first=end - size, last=end: leaf[first:last], tree)
        for size, end in zip(sizes, ends, strict=True)
    ]


def pad(tree: Tree, multiple: int) -> Tree:
    """Repeat the last row until the number of rows is a multiple of `multiple`."""
    missing = -count(tree) % multiple
    if not missing:
        return tree
    return _map(lambda leaf: torch.cat([leaf, leaf[-1:].expand(missing, *leaf.shape[1:])]), tree)


def first(tree: Tree, rows: int) -> Tree:
    """Return the first `rows` rows, as views."""
    if rows == count(tree):
        return tree
    return _map(lambda leaf: leaf[:rows], tree)


def on_cpu(tree: Tree) -> Tree:
    """Return the tree with its tensors in main memory."""
    return _map(lambda leaf: leaf.cpu(), tree)


def row_quantum(dimensions: int) -> int:
    """Return the number of rows whose multiples leave no tail of images of so many `dimensions`,
    nor of the halves that normal noise is drawn in."""
    return QUANTUM // math.gcd(QUANTUM, dimensions // 2 if dimensions % 2 == 0 else dimensions)


def whole(function: Callable[..., Tensor], *columns: Tensor) -> Tensor:
    """Return `function` of columns `[rows, ...]`, computed without a tail.

    Columns are too short for `row_quantum`. Powers, exponentials and logarithms of columns need
    this function; sums, products, quotients and square roots round correctly without it.
    """
    return function(*pad(columns, QUANTUM))[: len(columns[0])]


def where(rows: Tensor, yes: Tree, no: Tree) -> Tree:
    """Return the rows of `yes` where the boolean `rows` `[rows]` holds, and those of `no`
    elsewhere."""

    shaped: dict[int, Tensor] = {}

    def choose(a: Tensor, b: Tensor) -> Tensor:
        if a is b:
            return a
        if a.ndim not in shaped:
            shaped[a.ndim] = rows.view(-1, *[1] * (a.ndim - 1))
        return torch.where(shaped[a.ndim], a, b)

    return _map(choose, yes, no)


def _map(function: Callable[..., Tensor], tree: Tree, *others: Tree) -> Tree:
    leaves: Any = (tree, *others)
    return cast(Tree, optree.tree_map(function, *leaves))
