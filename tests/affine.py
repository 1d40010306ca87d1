"""Exact moments of a sampler's images, where its score is linear.

Every call of a sampler is then an affine map of its state and its noise. A batch in which each row
carries one unit impulse reads the map off; the images' mean, and their factor over all the noise
that was ever drawn, are pushed through it in float64. A draw that is used twice counts as one and
the same. No random number is drawn, so orders of convergence can be tested without Monte-Carlo
error.
"""

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import optree
import pytest
import torch
from torch import Tensor

from models.evaluation.analytic import Gaussian
from models.rows.noise import NORMAL, UNIFORM, Draw, Stream
from models.rows.rows import NoiseKey, take
from models.solvers.base import AnySampler, Problem, RowStatus

# One call draws at most so many normals for each value of an image.
MOST_DRAWS = 5
# How far the image of a sum may be from the sum of images, relatively or absolutely.
LOOSE = 1e-7
# Fields of states that depend on the schedule alone.
FIXED = {"here", "there", "before"}

Draws = Callable[[NoiseKey, Stream, Tensor | int, tuple[int, ...]], Tensor]
Slot = tuple[Stream, int]


class Moments(NamedTuple):
    """Mean `[D]` and covariance `[D, D]`, float64."""

    mean: Tensor
    covariance: Tensor

    def distance(self, other: "Moments") -> float:
        """The Euclidean norm of all differences."""
        parts = [(a - b).flatten() for a, b in zip(self, other, strict=True)]
        return float(torch.cat(parts).norm())


class Sampled(NamedTuple):
    """Moments of the images, and their covariance `[D, D]` with x at t = 1."""

    moments: Moments
    with_start: Tensor


@contextmanager
def noise_from(normal: Draws, uniform: Draws) -> Iterator[None]:
    """Let every solver draw its noise from these functions."""

    def draw(key: NoiseKey, *wanted: Draw) -> list[Tensor]:
        laws = {NORMAL: normal, UNIFORM: uniform}
        return [laws[one.law](key, one.stream, one.use, one.shape) for one in wanted]

    with pytest.MonkeyPatch.context() as patch:
        for path, module in list(sys.modules.items()):
            if path.startswith("models.solvers"):
                for name, function in (("normal", normal), ("uniform", uniform), ("draw", draw)):
                    if hasattr(module, name):
                        patch.setattr(module, name, function)
        yield


class Impulses:
    """Noise of which each row sees one unit impulse at most, in one value of one draw.

    The start's noise is mapped to mean + factor xi, so that a walk may leave from any Gaussian.
    """

    def __init__(self, start: Moments) -> None:
        values, vectors = torch.linalg.eigh(start.covariance)
        self.start_mean, self.start_factor = start.mean, vectors * values.clamp(min=0).sqrt()
        self.first = 1
        self.slots: dict[Slot, slice] = {}

    def rewind(self, first: int) -> None:
        """Begin a call, whose impulses stand in the rows from `first` on."""
        self.first, self.slots = first, {}

    def normal(
        self, key: NoiseKey, stream: Stream, draw: Tensor | int, shape: tuple[int, ...]
    ) -> Tensor:
        size = torch.Size(shape).numel()
        slot = stream, int(draw[0]) if isinstance(draw, Tensor) else draw
        begin = self.first + max((used.stop for used in self.slots.values()), default=0)
        at = self.slots.setdefault(slot, slice(begin - self.first, begin - self.first + size))
        noise = torch.zeros(len(key.seed), size, dtype=torch.float64)
        noise[self.first + at.start : self.first + at.stop] = torch.eye(size, dtype=torch.float64)
        if stream == Stream.START:
            noise = self.start_mean + noise @ self.start_factor.T
        return noise.reshape(-1, *shape)

    def uniform(
        self, key: NoiseKey, stream: Stream, draw: Tensor | int, shape: tuple[int, ...]
    ) -> Tensor:
        """Zeros: every proposal is accepted."""
        return torch.zeros(len(key.seed), *shape, dtype=torch.float64)


def marginal(denoiser: Gaussian, problem: Problem[Any], t: float) -> Moments:
    """Moments of x at time `t` under the schedule of the problem's first row."""
    noise = problem.condition.schedule.noise(
        torch.full_like(problem.condition.schedule.gamma_min, t)
    )
    alpha, sigma = noise.alpha[0].flatten(), noise.sigma[0].flatten()
    covariance = alpha[:, None] * denoiser.covariance * alpha + torch.diag(sigma.square())
    return Moments(alpha * denoiser.mean, covariance)


def sampled_moments(
    sampler: AnySampler, denoiser: Gaussian, problem: Problem[Any], start: Moments
) -> Sampled:
    """Moments of the images from x at t = 1 of moments `start`, under the schedule of the
    problem's first row. Raises AssertionError where the sampler is not affine."""
    impulses = Impulses(start)
    size = _vector(sampler.init(problem)).shape[1]
    rows = 2 + size + MOST_DRAWS * len(denoiser.mean)
    problem = take(problem, torch.zeros(rows, dtype=torch.int64))
    with noise_from(impulses.normal, impulses.uniform):
        state = sampler.init(problem)
        pushed = _Pushed(size)
        pushed.push(_vector(state), impulses, 1)
        while (sampler.status(problem, state) == RowStatus.RUNNING).all():
            state = _units(state)
            impulses.rewind(1 + size)
            answer = denoiser.evaluate(sampler.ask(problem, state), problem.condition)
            state = sampler.tell(problem, state, answer)
            pushed.push(_vector(state), impulses, 1 + size)
        read = sampler.sample(problem, _units(state)).x.flatten(1)[: 1 + size]
        linear = read[1:] - read[0]
    factor = pushed.factor @ linear
    moments = Moments(read[0] + pushed.mean @ linear, factor.T @ factor)
    from_start = factor[pushed.places[Stream.START, 0]]
    return Sampled(moments, from_start.T @ impulses.start_factor.T)


class _Pushed:
    """The state's mean `[size]`, and its factor `[draws, size]` over every draw so far."""

    def __init__(self, size: int) -> None:
        self.mean = torch.zeros(size, dtype=torch.float64)
        self.factor = torch.zeros(0, size, dtype=torch.float64)
        self.places: dict[Slot, slice] = {}

    def push(self, out: Tensor, impulses: Impulses, first: int) -> None:
        """Take in a call that mapped unit states and impulses to `out` `[rows, size]`."""
        linear, kicks = out[1:first] - out[0], out[first:] - out[0]
        # The first call makes a state of noise alone.
        self.mean = out[0] + (self.mean @ linear if len(linear) else 0.0)
        if len(linear):
            sum_of_all = out[0] + linear.sum(0)
            assert torch.allclose(out[-1], sum_of_all, LOOSE, LOOSE), "the sampler is not affine"
            self.factor = self.factor @ linear
        for slot, at in impulses.slots.items():
            if slot not in self.places:
                begin = len(self.factor)
                self.places[slot] = slice(begin, begin + at.stop - at.start)
                new = torch.zeros(at.stop - at.start, self.factor.shape[1], dtype=torch.float64)
                self.factor = torch.cat([self.factor, new])
            place = self.places[slot]
            self.factor[place] = self.factor[place] + kicks[at]


def _images(state: Any) -> list[bool]:
    """For each leaf, whether it holds images. Levels of noise have their shape too, and are fixed
    by the schedule."""
    accessors, leaves, _ = optree.tree_flatten_with_accessor(state)
    return [
        leaf.ndim == 4 and FIXED.isdisjoint(getattr(entry, "field", "") for entry in accessor)
        for accessor, leaf in zip(accessors, leaves, strict=True)
    ]


def _vector(state: Any) -> Tensor:
    """All images, side by side, `[rows, size]`."""
    leaves = itertools.compress(optree.tree_leaves(state), _images(state))
    return torch.cat([leaf.flatten(1) for leaf in leaves], dim=1).double()


def _units(state: Any) -> Any:
    """The state with nothing in the first row, one value 1 in each from the second on, and all of
    them in the last."""
    vector = _vector(state)
    basis = torch.zeros_like(vector)
    basis[1 : 1 + vector.shape[1]] = torch.eye(vector.shape[1], dtype=vector.dtype)
    basis[-1] = 1
    leaves, structure = optree.tree_flatten(state)
    images = _images(state)
    sizes = [leaf[0].numel() for leaf in itertools.compress(leaves, images)]
    columns = iter(basis.split(sizes, dim=1))
    return optree.tree_unflatten(
        structure,
        [
            next(columns).reshape(leaf.shape) if image else leaf
            for leaf, image in zip(leaves, images, strict=True)
        ],
    )
