"""The laws of the limit for samplers: each comes to the data's exact law at its declared order.

Every law takes a solver and a spec, and raises AssertionError where the solver breaks it.
"""

import math
from collections.abc import Iterable

import torch
from affine import Sampled, marginal, sampled_moments

from models.evaluation.analytic import Gaussian
from models.schema.config import ModelConfig
from models.schema.fields import MIN_STEP_SIZE
from models.schema.limits import Chain, Steps
from models.schema.walks import RtkSpec, WalkSpec
from models.solvers.base import AnySampler
from models.work.sampling import problem_for

# An order observed between two step sizes may be so far off the declared one.
WITHIN = 0.2
STEPS, FEW_STEPS = (12, 24), 3
# Chains of this many units of time, in so many steps, over two segments.
LONG, CHAIN_STEPS = 20.0, (40, 80)
# The error of what is exact: of steps, and of starts that a step of the chain follows.
EXACT, NEARLY_EXACT = 1e-9, 1e-4
PLANE = ModelConfig(image_shape=(1, 2, 1), latent_size=3, latent_k=1, gamma_min=-1.0, gamma_max=1.0)
MEAN = torch.tensor([0.7, -0.4])
COVARIANCE = torch.tensor([[0.8, 0.5], [0.5, 0.6]])
DATA = Gaussian(PLANE, MEAN, COVARIANCE, schedule_seed=1)
POINT = Gaussian(PLANE, MEAN, 0 * COVARIANCE, schedule_seed=1)


def images_converge(sampler: AnySampler, spec: WalkSpec) -> None:
    """The images of many steps have the law of the data, from the exact law at t = 1."""
    assert isinstance(spec.limit, Steps)
    finer = (spec.with_pieces(steps) for steps in STEPS)
    falls(spec.limit.order, (_error(sampler, one) for one in finer))


def points_are_exact(sampler: AnySampler, spec: WalkSpec) -> None:
    """The images of few steps have the law of the data, where that is a single image."""
    error = _error(sampler, spec.with_pieces(FEW_STEPS), POINT)
    assert error < EXACT, f"errs by {error:.3g}"


def chains_converge(sampler: AnySampler, spec: RtkSpec) -> None:
    """Long chains of small steps, all accepted, draw each segment from its kernel: the joint law of
    the images and of x at t = 1 is that of the data and its noised self."""
    finer = (
        spec.with_pieces(2).replaced(inner_steps=steps, step_size=LONG / steps)
        for steps in CHAIN_STEPS
    )
    falls(spec.limit.order, (_error(sampler, one) for one in finer))


def starts_converge(sampler: AnySampler, spec: RtkSpec) -> None:
    """Next to no chain in many segments leaves the starts, whose law is that of the data."""
    assert spec.limit.start is not None
    bare = spec.replaced(inner_steps=1, step_size=MIN_STEP_SIZE)
    finer = (bare.with_pieces(segments) for segments in STEPS)
    falls(spec.limit.start, (_error(sampler, one) for one in finer))
    error = _error(sampler, bare.with_pieces(FEW_STEPS), POINT)
    assert error < NEARLY_EXACT, f"errs by {error:.3g} on a point"


def falls(order: float, errors: Iterable[float]) -> None:
    """Assert that the second error is 2^-order of the first, as of steps half as long."""
    coarse, fine = errors
    assert 0 < fine < coarse, f"the error rises from {coarse:.3g} to {fine:.3g}"
    observed = math.log2(coarse / fine)
    assert abs(observed - order) <= WITHIN, f"of order {observed:.2f}, not {order}"


def _error(sampler: AnySampler, spec: WalkSpec, data: Gaussian = DATA) -> float:
    """The distance of the images' exact moments from those of the data; for a chain, also of their
    covariance with x at t = 1."""
    problem = problem_for(sampler, data, spec, 0, torch.zeros(1, dtype=torch.int64), latent=(1,))
    start, target = (marginal(data, problem, t) for t in (1.0, 0.0))
    found: Sampled = sampled_moments(sampler, data, problem, start)
    error = found.moments.distance(target)
    if isinstance(spec.limit, Chain):
        ends = (problem.condition.schedule.noise(torch.full((1,), t).double()) for t in (1.0, 0.0))
        noised, clean = (end.alpha.flatten() for end in ends)
        scale = noised / clean
        error = math.hypot(error, float((found.with_start - target.covariance * scale).norm()))
    return error
