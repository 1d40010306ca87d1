"""The laws of the limit for likelihoods: each comes to the exact density at its declared order.

The model's density is N(0, I) at t = 1, carried back by the probability-flow ODE. That flow is
known where dimensions are independent: in each of them it keeps the order of points and the mass
between them, so it maps quantiles to quantiles. And it is known where the data is Gaussian and all
dimensions share one schedule.
"""

import math
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import torch
from affine import noise_from
from image_laws import falls
from torch import Tensor

from models.anomaly.level_rows import levels_problem
from models.anomaly.path_rows import path_problem
from models.evaluation.analytic import Gaussian, Mixture
from models.network.schedule import NoiseLevel
from models.rows.noise import Stream, normal, uniform
from models.rows.rows import NoiseKey, Query
from models.schema.config import ModelConfig
from models.schema.specs import AdaptiveSpec, FlowPath, Levels
from models.solvers.adaptive import Adaptive
from models.solvers.base import Problem, RowStatus
from models.solvers.levels import LevelsSolver
from models.solvers.path import BINS, Path, PathSolver
from models.work.likelihood import score_problem
from models.work.solve import solve

CONFIG = ModelConfig(
    image_shape=(1, 3, 1), vocabulary=17, latent_size=3, latent_k=1, gamma_min=-1.5, gamma_max=1.5
)
SIZE = CONFIG.dimensions
TOKENS = torch.randint(
    17, (4, *CONFIG.chw), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
)
# Quantiles are found by halving this range of x so often.
FARTHEST, BISECTIONS = 20.0, 60
# The exact path's measures are integrals by Gauss and Legendre's rule in each quarter of the way;
# the path's rate is taken over this distance on either side.
NODES, RATE_STEP = 16, 1e-4
# Numbers of steps, by order, from which on errors fall at that order.
STEPS = {2: (20, 40), 5: (10, 20)}
TOLERANCES = (0.5, 0.001)
# The error is at most so many times its own estimate.
HOPEFUL = 5.0


class Independent(Mixture):
    """Data whose dimensions are independent mixtures, one schedule each."""

    def log_density(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self.log_densities(x, alpha, sigma).sum(1)

    def log_densities(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """The log-density of each dimension, `[rows, D]`."""
        mean, variance = self._moments(alpha, sigma)
        terms = (x[:, None] - mean).square() / variance + torch.log(2 * torch.pi * variance)
        found: Tensor = torch.logsumexp(self.weights.log()[:, None] - 0.5 * terms, dim=1)
        return found

    def share_below(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """The distribution function of each dimension at x, `[rows, D]`."""
        mean, variance = self._moments(alpha, sigma)
        below = torch.special.ndtr((x[:, None] - mean) / variance.sqrt())
        return (self.weights[:, None] * below).sum(1)

    def carried(self, x: Tensor, here: NoiseLevel, there: NoiseLevel) -> Tensor:
        """The place `[rows, D]` to which the flow carries x, by quantiles."""
        share = self.share_below(x, *_scales(here))
        low = torch.full_like(x, -FARTHEST)
        high = -low
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            below = self.share_below(middle, *_scales(there)) < share
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2

    def _moments(self, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        variance = alpha[:, None].square() * self.variances + sigma[:, None].square()
        return alpha[:, None] * self.means, variance


def _independent(config: ModelConfig, spread: float) -> Independent:
    """Two modes a dimension, whose variances are `spread` times some that do not matter."""
    return Independent(
        config,
        torch.tensor([0.6, 0.4]),
        torch.tensor([[-0.5, 0.1, 0.4], [0.5, -0.3, -0.2]]),
        spread * torch.tensor([[0.1, 0.2, 0.1], [0.15, 0.1, 0.2]]),
        schedule_seed=2,
        # Where the mean of gamma stands nearly still, errors fall at their order only from far
        # more steps on.
        bend=0.3,
    )


INDEPENDENT = _independent(CONFIG, 1.0)
# Step control is tried over the range of gamma of the shipped checkpoints, on narrow modes.
AS_SERVED = _independent(CONFIG.model_copy(update={"gamma_min": -7.9, "gamma_max": 5.0}), 0.1)
FACTOR = torch.tensor([[0.6, 0.0, 0.0], [0.3, 0.4, 0.0], [-0.2, 0.3, 0.5]])
COUPLED = Gaussian(CONFIG, torch.tensor([0.2, -0.1, 0.3]), FACTOR @ FACTOR.T, bend=0)


def densities_converge(solver: Adaptive[Any], spec: AdaptiveSpec) -> None:
    """The log-density of images by many equal steps is that of the model."""
    exact: Any
    for denoiser, exact in ((INDEPENDENT, by_quantiles), (COUPLED, by_roots)):
        problem = _with_exact_trace(score_problem(denoiser, TOKENS, spec, seed=0, draws=1))
        truth = exact(denoiser, problem)
        errors = []
        for steps in STEPS[int(spec.limit.order)]:
            fixed = type(solver)(fixed_steps=steps, dtype=torch.float64)
            density = fixed.density(problem, solve(fixed, problem, denoiser))
            errors.append(float((density.prior + density.log_det.mean(1) - truth).norm()))
        falls(spec.limit.order, errors)


def tolerances_are_kept(solver: Adaptive[Any], spec: AdaptiveSpec) -> None:
    """The error of the log-density is within the tolerance, and is estimated to be."""
    for tolerance in TOLERANCES:
        asked = spec.replaced(tolerance_nats=tolerance)
        problem = score_problem(AS_SERVED, TOKENS, asked, seed=0, draws=1)
        density = solver.density(problem, solve(solver, problem, AS_SERVED))
        assert density.status.tolist() == [RowStatus.DONE] * len(TOKENS)
        found = density.prior + density.log_det.mean(1)
        error = (found - by_quantiles(AS_SERVED, problem)).abs()
        assert error.max() <= tolerance, f"errs by {error.max():.3g} nats"
        assert density.error.max() <= tolerance, "claims to miss the tolerance"
        assert (error <= HOPEFUL * density.error).all(), "the estimate of the error is hopeful"


def paths_converge(solver: PathSolver, spec: FlowPath) -> None:
    """The log-density, the noise and every measure of a path of many steps and draws are those of
    the exact one. The draws' noise is given, one for each row."""
    exact = _exact_path()
    errors: dict[str, list[float]] = {name: [] for name in exact}
    for steps in STEPS[int(spec.limit.order)]:
        finer = spec.replaced(steps=steps, fresh=steps)
        rows = _with_exact_trace(path_problem(INDEPENDENT, TOKENS, finer, seed=0))
        fine = type(solver)(torch.float64)
        with noise_from(_given, uniform):
            path = fine.path(rows, solve(fine, rows, INDEPENDENT))
        found = _measures(path)
        for name, value in exact.items():
            errors[name].append(float((found[name] - value).norm()))
    for pair in errors.values():
        falls(spec.limit.order, pair)


def fresh_draws_are_new(solver: PathSolver, spec: FlowPath) -> None:
    """Two fresh questions never ask about the same noise on the image."""
    problem = path_problem(INDEPENDENT, TOKENS, spec.replaced(fresh=3), seed=0)
    fine, noises = type(solver)(torch.float64), []
    state = fine.init(problem)
    while (fine.status(problem, state) == RowStatus.RUNNING).any():
        query = fine.ask(problem, state)
        level = problem.condition.schedule.noise(query.t)
        noises.append((query.x - level.alpha * problem.columns.clean) / level.sigma)
        answer = INDEPENDENT.evaluate(query, problem.condition)
        state = fine.tell(problem, state, answer)
    for one, other in combinations(noises[-3:], 2):
        assert not torch.isclose(one, other).any(), "a draw is used again"


def levels_are_scores(solver: LevelsSolver, spec: Levels) -> None:
    """What is found at each level is -sigma times the score of the noisy data's density at the
    image, by the closed form for independent normal pixels; nothing is found past the last."""
    mean, variance = torch.linspace(-0.5, 0.5, SIZE), torch.linspace(0.02, 0.3, SIZE)
    data = Mixture(CONFIG, torch.ones(1), mean[None], variance[None])
    problem = levels_problem(data, TOKENS, spec, seed=0)
    fine = type(solver)(torch.float64)
    found = fine.scores(problem, solve(fine, problem, data)).maps
    for level in range(spec.levels):
        s = torch.full((len(TOKENS),), (level + 0.5) / spec.levels, dtype=torch.float64)
        noise = problem.condition.schedule.noise(problem.condition.network_time.t(s))
        alpha, sigma = _scales(noise)
        spread = alpha.square() * variance + sigma.square()
        exact = sigma * alpha * (problem.columns.clean.flatten(1) - mean) / spread
        assert torch.allclose(found[:, level].flatten(1).double(), exact, atol=1e-5)
    assert not found[:, spec.levels :].any()


def by_quantiles(data: Independent, problem: Problem[Any]) -> Tensor:
    """The model's log-density at t = 0 of the problem's images `[rows]`, where the data's
    dimensions are independent."""
    start, end = _ends(problem)
    x = start.alpha.flatten(1) * problem.columns.image.flatten(1)
    noise = data.carried(x, start, end)
    before, after = (
        data.log_densities(at, *_scales(level)) for at, level in ((x, start), (noise, end))
    )
    return (_log_normal(noise) + before - after).sum(1)


def by_roots(data: Gaussian, problem: Problem[Any]) -> Tensor:
    """The model's log-density at t = 0 of the problem's images `[rows]`, where the data is Gaussian
    and its dimensions share one schedule."""
    start, end = _ends(problem)
    values, vectors = torch.linalg.eigh(data.covariance)
    variances = [
        level.alpha[0, 0, 0, 0].square() * values + level.sigma[0, 0, 0, 0].square()
        for level in (start, end)
    ]
    ratio = (variances[1] / variances[0]).sqrt()
    images = problem.columns.image.flatten(1)
    centred = start.alpha.flatten(1) * (images - data.mean)
    noise = centred @ vectors * ratio @ vectors.T + end.alpha.flatten(1) * data.mean
    return _log_normal(noise).sum(1) + ratio.log().sum()


@cache
def _exact_path() -> dict[str, Tensor]:
    """The log-density and the measures of the exact path, by the names of `_measures`."""
    problem = path_problem(INDEPENDENT, TOKENS, FlowPath(), seed=0)
    start, end = _ends(problem)
    x = start.alpha.flatten(1) * problem.columns.image.flatten(1)
    places, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(NODES))
    length: list[Tensor] = []
    bend: list[Tensor] = []
    cost: list[Tensor] = []
    for quarter in range(BINS):
        nodes = [(quarter + (1 + float(place)) / 2) / BINS for place in places]
        measured = [_at(problem, x, node) for node in nodes]
        for total, values in zip((length, bend, cost), zip(*measured, strict=True), strict=True):
            stacked = torch.stack(values)
            total.append(torch.tensordot(weights / (2 * BINS), stacked, dims=1))
    shape = problem.columns.image.shape
    return {
        "log_density": by_quantiles(INDEPENDENT, problem),
        "noise": INDEPENDENT.carried(x, start, end).view(shape),
        "length": torch.stack([part.mean(1) for part in length], dim=1),
        "bend": torch.stack([part.mean(1) for part in bend], dim=1),
        "cost": torch.stack([part.sum(1) for part in cost], dim=1),
        "map": torch.stack(cost).sum(0).view(shape),
    }


def _at(problem: Problem[Any], x: Tensor, s: float) -> tuple[Tensor, Tensor, Tensor]:
    """Eps squared, its rate squared, and the ELBO's term at the network's time s, `[rows, D]`."""
    start, _ = _ends(problem)

    def eps(s: float) -> Tensor:
        t, level = _level(problem, s)
        place = INDEPENDENT.carried(x, start, level).view_as(problem.columns.image)
        return INDEPENDENT.evaluate(Query(place, t), problem.condition).eps.flatten(1)

    rate = (eps(s + RATE_STEP) - eps(s - RATE_STEP)) / (2 * RATE_STEP)
    t, level = _level(problem, s)
    noise = _given(problem.key, Stream.FRESH, 0, tuple(problem.columns.image.shape[1:]))
    noisy = level.alpha * problem.columns.clean + level.sigma * noise
    missed = noise - INDEPENDENT.evaluate(Query(noisy, t), problem.condition).eps
    term = 0.5 * problem.condition.dgamma_ds(t) * missed.square()
    return eps(s).square(), rate.square(), term.flatten(1)


def _measures(path: Path) -> dict[str, Tensor]:
    return {
        "log_density": path.prior + path.log_det.mean(1),
        "noise": path.noise,
        "length": path.length,
        "bend": path.bend,
        "cost": path.cost,
        "map": path.map,
    }


def _given(key: NoiseKey, stream: Stream, draw: Tensor | int, shape: tuple[int, ...]) -> Tensor:
    """The first draw of the stream, whichever is asked for."""
    return normal(key, stream, 0, shape).double()


def _with_exact_trace(problem: Problem[Any]) -> Problem[Any]:
    """The problem with probes sqrt(D) e_i, one for each dimension, whose mean is the trace."""
    rows, *shape = problem.columns.image.shape
    size = math.prod(shape)
    probes = math.sqrt(size) * torch.eye(size).double().view(1, size, *shape)
    probes = probes.expand(rows, -1, -1, -1, -1)
    return problem._replace(columns=problem.columns._replace(probes=probes))


def _ends(problem: Problem[Any]) -> tuple[NoiseLevel, NoiseLevel]:
    """The noise at t = 0 and at t = 1."""
    return _level(problem, 0.0)[1], _level(problem, 1.0)[1]


def _level(problem: Problem[Any], s: float) -> tuple[Tensor, NoiseLevel]:
    """The diffusion time `[rows]` and the noise where the network's time is s."""
    time = torch.full((len(problem.columns.image),), s, dtype=torch.float64)
    t = problem.condition.network_time.t(time)
    return t, problem.condition.schedule.noise(t)


def _scales(level: NoiseLevel) -> tuple[Tensor, Tensor]:
    return level.alpha.flatten(1), level.sigma.flatten(1)


def _log_normal(x: Tensor) -> Tensor:
    return -0.5 * (x.square() + math.log(2 * math.pi))
