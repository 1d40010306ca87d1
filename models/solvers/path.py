"""The log-density of images in a fixed number of evaluations, and measures of the path itself."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.network.schedule import per_row
from models.rows.noise import Stream, normal
from models.rows.rows import Answer, Query, where
from models.solvers.base import Problem
from models.solvers.counted import Counted
from models.solvers.flow import divergence, end, line
from models.solvers.probing import flips

# The path's measures are kept apart for each quarter of the network's time.
BINS = 4


class Columns(NamedTuple):
    """The dequantized image and the middle of its bins `[rows, C, H, W]` in data units, float64;
    the trace's probes `[rows, probes, C, H, W]`, and the number of points after which they are
    renewed (`probing`), 0 for never; minus the log-density of the dequantization noise; the log of
    the encoder's mass on the latent; and the spec."""

    image: Tensor
    clean: Tensor
    probes: Tensor
    cycle: Tensor
    dequantization: Tensor
    latent_mass: Tensor
    steps: Tensor
    fresh: Tensor


class State(NamedTuple):
    """The state after `nfe` answers: `x`, x_t / alpha at the last point of the path, and `ahead`,
    its prediction at the next; `eps` and `rate` `[rows, probes]`, the answer at the last point and
    the log-det's derivative by s there. The rest are integrals so far, as `Path` has them; all
    float64."""

    nfe: Tensor
    x: Tensor
    ahead: Tensor
    eps: Tensor
    rate: Tensor
    log_det: Tensor
    length: Tensor
    bend: Tensor
    map: Tensor
    cost: Tensor


class Path(NamedTuple):
    """The result of the rows. `noise` is x at t = 1, `[rows, C, H, W]`; `prior` and `log_det`
    `[rows, probes]` add up, as in `flow.LogDensity`, to log p_0.

    By quarters of the way, `[rows, BINS]`: `length`, the integral of |eps|^2 / D over s; `bend`,
    that of |d eps / ds|^2 / D; `cost`, the diffusion part of the negative ELBO in nats. `map`
    `[rows, C, H, W]` is the same cost, pixel by pixel.
    """

    noise: Tensor
    prior: Tensor
    log_det: Tensor
    length: Tensor
    bend: Tensor
    map: Tensor
    cost: Tensor
    nfe: Tensor
    status: Tensor


class PathSolver(Counted[Columns, State]):
    """dx̄ = eps dρ from image to noise (`flow`), over `steps` equal steps of the network's time.

    A step is predicted with eps on a line through the last two answers, and corrected, once the
    answer at its end is there, with the line through both ends: second order for one evaluation
    a step (a predictor and a corrector after Zhao et al., UniPC, 2023). Within a step gamma counts
    as a straight line, so that the integrals against dρ are closed forms. The trace goes by the
    trapezoid rule.

    After the path come `fresh` questions at x_t = alpha x + sigma xi, xi new each time and t spread
    evenly: the terms of the ELBO. Their pull-back is not used.

    Questions are put in `dtype`.
    """

    name = "path"

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype

    def evaluations(self, columns: Columns) -> Tensor:
        return columns.steps + 1 + columns.fresh

    def init(self, problem: Problem[Columns]) -> State:
        columns = problem.columns
        image, nothing = columns.image, torch.zeros_like(columns.image)
        rate = image.new_zeros(columns.probes.shape[:2])
        bins = image.new_zeros(len(image), BINS)
        none = torch.zeros_like(columns.steps)
        return State(none, image, image, nothing, rate, rate, bins, bins, nothing, bins)

    def ask(self, problem: Problem[Columns], state: State) -> Query:
        t = problem.condition.network_time.t(self._s(problem.columns, state.nfe))
        noise = problem.condition.schedule.noise(t)
        walking = per_row(state.nfe <= problem.columns.steps)
        x = torch.where(
            walking,
            noise.alpha * state.ahead,
            noise.alpha * problem.columns.clean + noise.sigma * self._fresh(problem, state),
        )
        weight = 0.5 * problem.condition.dgamma_ds(t) * noise.sigma
        cotangents = weight[:, None] * self._probes(problem, state)
        return Query(x.to(self.dtype), t, cotangents.to(self.dtype), noise)

    def move(self, problem: Problem[Columns], state: State, answer: Answer) -> State:
        return where(
            state.nfe <= problem.columns.steps,
            self._walk(problem, state, answer),
            self._price(problem, state, answer.eps),
        )

    def outcome(self, state: State) -> Tensor:
        told = (state.x, state.map, state.log_det, state.length, state.bend)
        return torch.cat([leaf.flatten(1) for leaf in told], dim=1)

    def path(self, problem: Problem[Columns], state: State) -> Path:
        """Return the result of the finished rows; that of a row that is not DONE means nothing."""
        noise, prior, log_det = end(problem.condition.schedule, state.x, state.log_det)
        return Path(
            noise,
            prior,
            log_det,
            state.length,
            state.bend,
            state.map,
            state.cost,
            state.nfe,
            self.status(problem, state),
        )

    def _s(self, columns: Columns, nfe: Tensor) -> Tensor:
        """Return the network's time `[rows]` of question `nfe`: a point of the path, or the middle
        of a fresh draw's share of the way."""
        path = nfe.double() / columns.steps
        fresh = (nfe - columns.steps - 0.5).double() / columns.fresh
        return torch.where(nfe <= columns.steps, path, fresh.clamp(0, 1))

    def _probes(self, problem: Problem[Columns], state: State) -> Tensor:
        """Return the probes of the next question, `[rows, probes, C, H, W]`."""
        columns, shape = problem.columns, tuple(problem.columns.probes.shape[1:])
        solve = torch.zeros_like(columns.cycle)
        return columns.probes * flips(problem.key, solve, columns.cycle, state.nfe, shape)

    def _fresh(self, problem: Problem[Columns], state: State) -> Tensor:
        """Return the noise of a fresh question, `[rows, C, H, W]`."""
        draw = (state.nfe - problem.columns.steps).clamp(min=0)
        return normal(problem.key, Stream.FRESH, draw, tuple(state.x.shape[1:])).double()

    def _walk(self, problem: Problem[Columns], state: State, answer: Answer) -> State:
        """Correct the step that ends here, and predict the next."""
        columns, h = problem.columns, 1 / problem.columns.steps.double()
        nfe, eps = state.nfe, answer.eps.double()
        begun = nfe > 0
        before, here, there = (
            problem.condition.schedule.noise(
                problem.condition.network_time.t(self._s(columns, point.minimum(columns.steps)))
            )
            for point in ((nfe - 1).clamp(min=0), nfe, nfe + 1)
        )
        change = where(begun, eps - state.eps, torch.zeros_like(eps))
        x = state.x + line(state.eps, change, before.gamma, here.gamma)
        rate = divergence(answer, self._probes(problem, state))
        squares = [one.flatten(1).square().mean(1) for one in (state.eps, eps, change)]
        bins = _bin((nfe - 1).clamp(min=0), columns.steps) * (begun * h)[:, None]
        return state._replace(
            nfe=nfe + 1,
            x=x,
            ahead=x + line(eps, change, here.gamma, there.gamma),
            eps=eps,
            rate=rate,
            log_det=state.log_det + (begun * h / 2)[:, None] * (state.rate + rate),
            length=state.length + bins * ((squares[0] + squares[1]) / 2)[:, None],
            bend=state.bend + bins * (squares[2] / h**2)[:, None],
        )

    def _price(self, problem: Problem[Columns], state: State, eps: Tensor) -> State:
        """Add one more fresh question's share of the bound."""
        columns = problem.columns
        index, count = state.nfe - columns.steps - 1, columns.fresh
        t = problem.condition.network_time.t(self._s(columns, state.nfe))
        squares = (self._fresh(problem, state) - eps.double()).square()
        terms = 0.5 * problem.condition.dgamma_ds(t) * squares / per_row(count)
        cost = _bin(index.clamp(min=0), count) * terms.flatten(1).sum(1)[:, None]
        return state._replace(nfe=state.nfe + 1, map=state.map + terms, cost=state.cost + cost)


def _bin(index: Tensor, count: Tensor) -> Tensor:
    """Return the quarter in which piece `index` of `count` has its middle, one-hot `[rows,
    BINS]`."""
    quarter = (2 * index + 1) * BINS // (2 * count)
    return (quarter[:, None] == torch.arange(BINS, device=index.device)).double()
