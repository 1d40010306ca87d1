"""The law of detailed balance: a chain that accepts or refuses its proposals keeps its kernel.

A chain that goes from x to y as often as from y to x has the kernel as its law. How often is read
off the chain itself: where a proposal lands for given normals, and below which uniform number it
is accepted. No random number is drawn.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from affine import noise_from
from image_laws import falls
from torch import Tensor

from models.evaluation.analytic import AnalyticDenoiser, Mixture
from models.rows.noise import Stream, normal
from models.rows.rows import Answer, NoiseKey, take
from models.schema.config import ModelConfig
from models.schema.walks import RtkSpec
from models.solvers.base import AnySampler, Problem
from models.work.sampling import problem_for
from models.work.solve import solve

PLANE = ModelConfig(image_shape=(1, 2, 1), latent_size=3, latent_k=1, gamma_min=-1.0, gamma_max=1.0)
ONE_MODE = Mixture(PLANE, torch.ones(1), torch.tensor([[0.3, -0.2]]), torch.full((1, 2), 0.4))
TWO_MODES = Mixture(
    PLANE,
    torch.tensor([0.6, 0.4]),
    torch.tensor([[-0.8, 0.5], [0.9, -0.4]]),
    torch.full((2, 2), 0.3),
    schedule_seed=2,
)
# The image's noise at t = 1, from which the chain's only segment leaves, in every pixel.
ANCHOR = 0.4
# Chains leave from each of these points, by each of these moves, in units of a proposal's spread.
POINTS = torch.tensor([[-0.9, 0.4], [-0.2, 0.1], [0.3, 0.8], [1.0, -0.6]], dtype=torch.float64)
MOVES = torch.tensor([[1.0, 0.5], [-0.7, 1.2], [0.3, -1.5]], dtype=torch.float64)
# A step size at which a Gaussian's kernel must be kept exactly; and two whose proposals' lengths
# differ by a half.
LARGE, SMALL = 0.5, (0.04, 0.01)
EXACT = 1e-8
# A threshold is sought in this many rounds, each of which tries so many numbers at once.
ROUNDS, TRIED = 5, 255
LEAST_LOG = -60.0


class Move(NamedTuple):
    """The normals of one proposal `[rows, 2]`, and the uniform number that judges it `[rows]`."""

    normals: Tensor
    uniform: Tensor


class History(NamedTuple):
    """The normals at which the chain starts `[rows, 2]`, and the moves so far."""

    start: Tensor
    moves: tuple[Move, ...]


class GivenChain:
    """The inner chain of a single segment, whose noise is given."""

    def __init__(self, sampler: AnySampler, spec: RtkSpec, denoiser: AnalyticDenoiser) -> None:
        self.sampler, self.denoiser = sampler, denoiser
        self.spec = spec.with_pieces(1).replaced(start="kernel")
        self.history = History(POINTS, ())

    def normal(
        self, key: NoiseKey, stream: Stream, draw: Tensor | int, shape: tuple[int, ...]
    ) -> Tensor:
        moves, which = self.history.moves, int(torch.as_tensor(draw).flatten()[0])
        if stream == Stream.START:
            noise = torch.full_like(self.history.start, ANCHOR)
        elif stream == Stream.STEP:
            noise = self.history.start
        else:
            # The numbers of a proposal are those of the answer before it.
            noise = moves[min(-(-which // self.spec.evaluations_per_step), len(moves) - 1)].normals
        return noise.reshape(-1, *shape)

    def uniform(
        self, key: NoiseKey, stream: Stream, draw: Tensor | int, shape: tuple[int, ...]
    ) -> Tensor:
        which = int(torch.as_tensor(draw).flatten()[0]) // self.spec.evaluations_per_step - 1
        return self.history.moves[max(which, 0)].uniform.reshape(-1, *shape)

    def end(self, history: History) -> Tensor:
        """x `[rows, 2]` after the history."""
        return self._end(*self._before_the_end(history), history)

    def threshold(self, history: History) -> Tensor:
        """The logarithm, at most 0, of the uniform number below which the last move is accepted,
        `[rows]`; the history's own uniform is left out of account."""
        before = self._before_the_end(history)
        rows = len(history.start)
        low = torch.full((rows,), LEAST_LOG, dtype=torch.float64)
        refused, accepted = (
            self._end(*before, _judged(history, torch.full_like(low, number)))
            for number in (torch.inf, 0.0)
        )
        each = torch.arange(rows).repeat_interleave(TRIED)
        before, history = take(before, each), _repeated(history, TRIED)
        refused, accepted = refused[each], accepted[each]
        step = -low / (TRIED + 1)
        for _ in range(ROUNDS):
            tried = low[:, None] + step[:, None] * torch.arange(1, TRIED + 1)
            x = self._end(*before, _judged(history, tried.exp().flatten()))
            moved = (x - accepted).abs().sum(1) < (x - refused).abs().sum(1)
            low = low + step * moved.view(rows, TRIED).sum(1)
            step = step / (TRIED + 1)
        return low

    def log_density(self, x: Tensor) -> Tensor:
        """The logarithm of the segment's kernel at x `[rows, 2]`, but for a constant."""
        schedule = self._problem(1).condition.schedule
        here, there = (schedule.noise(torch.full((1,), t).double()) for t in (1.0, 0.0))
        a = (here.alpha / there.alpha).flatten()
        v = (here.sigma.square() * -torch.expm1(there.gamma - here.gamma)).flatten()
        clean = self.denoiser.log_density(x, *(s.flatten(1) for s in (there.alpha, there.sigma)))
        return clean - ((ANCHOR - a * x).square() / (2 * v)).sum(1)

    def _problem(self, rows: int, moves: int = 1) -> Problem[Any]:
        spec = self.spec.replaced(inner_steps=moves)
        one = torch.zeros(1, dtype=torch.int64)
        problem = problem_for(self.sampler, self.denoiser, spec, 0, one, latent=(1,))
        return take(problem, torch.zeros(rows, dtype=torch.int64))

    def _before_the_end(self, history: History) -> tuple[Problem[Any], Any, Answer]:
        problem = self._problem(len(history.start), len(history.moves))
        self.history = history
        with noise_from(self.normal, self.uniform):
            state = self.sampler.init(problem)
            for _ in range(self.spec.replaced(inner_steps=len(history.moves)).evaluations - 1):
                answer = self.denoiser.evaluate(self.sampler.ask(problem, state), problem.condition)
                state = self.sampler.tell(problem, state, answer)
        answer = self.denoiser.evaluate(self.sampler.ask(problem, state), problem.condition)
        return problem, state, answer

    def _end(self, problem: Problem[Any], state: Any, answer: Answer, history: History) -> Tensor:
        self.history = history
        with noise_from(self.normal, self.uniform):
            ended = self.sampler.tell(problem, state, answer)
        x: Tensor = self.sampler.sample(problem, ended).x.flatten(1)
        return x


Arrival = Callable[[GivenChain, Tensor], History]


def keeps_balance(sampler: AnySampler, spec: RtkSpec) -> None:
    """The chain is in detailed balance with its kernel: exactly where the density is Gaussian, and
    else but for an error of the declared order; whether the move before was accepted, refused, or
    none at all."""
    assert spec.limit.balance is not None
    for arrive in (_at_once, _after_a_refusal, _after_a_move):
        exact = GivenChain(sampler, spec.replaced(step_size=LARGE), ONE_MODE)
        imbalance = _imbalance(exact, arrive)
        assert imbalance < EXACT, f"out of balance by {imbalance:.3g} on a Gaussian"
        curved = (GivenChain(sampler, spec.replaced(step_size=c), TWO_MODES) for c in SMALL)
        falls(spec.limit.balance, (_imbalance(chain, arrive) for chain in curved))


def acceptance_is_counted(sampler: AnySampler, spec: RtkSpec) -> None:
    """The reported share of proposals that were accepted is 1 where all were, and 0 where none."""
    problem = problem_for(sampler, TWO_MODES, spec, 0, torch.arange(2), latent=(1,))
    for number, share in ((0.0, 1.0), (torch.inf, 0.0)):
        with noise_from(normal, partial(_all_alike, number)):
            state = solve(sampler, problem, TWO_MODES)
        assert sampler.sample(problem, state).acceptance_rate.tolist() == [share] * 2


def _all_alike(
    number: float, key: NoiseKey, stream: Stream, draw: Tensor | int, shape: tuple[int, ...]
) -> Tensor:
    return torch.full((len(key.seed), *shape), number, dtype=torch.float64)


def _imbalance(chain: GivenChain, arrive: Arrival) -> float:
    """The distance between the logarithms of the flows there and back, over all pairs of points."""
    x = POINTS.repeat_interleave(len(MOVES), 0)
    _, spread = _landing(chain, lambda normals: _then(arrive(chain, x), normals), x)
    y = x + spread * MOVES.repeat(len(POINTS), 1)
    there, back = _log_flow(chain, arrive, torch.cat([x, y]), torch.cat([y, x])).chunk(2)
    return float((there - back).norm())


def _log_flow(chain: GivenChain, arrive: Arrival, x: Tensor, y: Tensor) -> Tensor:
    """The logarithm of how often a chain that has its kernel as its law goes from x to y."""
    there = arrive(chain, x)
    normals, spread = _landing(chain, lambda normals: _then(there, normals), y)
    log_density = -0.5 * normals.square().sum(1) - spread.log().sum(1)
    return chain.log_density(x) + log_density + chain.threshold(_then(there, normals))


def _at_once(chain: GivenChain, x: Tensor) -> History:
    start, _ = _landing(chain, lambda normals: _refused(History(normals, ())), x)
    return History(start, ())


def _after_a_refusal(chain: GivenChain, x: Tensor) -> History:
    return _refused(_at_once(chain, x))


def _after_a_move(chain: GivenChain, x: Tensor) -> History:
    begun = History(torch.zeros_like(x), ())
    normals, _ = _landing(chain, lambda normals: _then(begun, normals), x)
    return _then(begun, normals)


def _landing(
    chain: GivenChain, history: Callable[[Tensor], History], x: Tensor
) -> tuple[Tensor, Tensor]:
    """The normals for which a history ends at x `[rows, 2]`, and by how much one of them moves it:
    the end is affine in them."""
    nothing, one = (chain.end(history(torch.full_like(x, value))) for value in (0.0, 1.0))
    return (x - nothing) / (one - nothing), one - nothing


def _then(history: History, normals: Tensor) -> History:
    """The history and a proposal that is accepted."""
    return history._replace(moves=(*history.moves, Move(normals, normals.new_zeros(len(normals)))))


def _refused(history: History) -> History:
    """The history and a proposal that is refused."""
    normals = torch.full_like(history.start, 0.7)
    return _judged(_then(history, normals), torch.full((len(normals),), torch.inf).double())


def _repeated(history: History, times: int) -> History:
    """The history with each row so many times in succession."""
    moves = (Move(*(part.repeat_interleave(times, 0) for part in move)) for move in history.moves)
    return History(history.start.repeat_interleave(times, 0), tuple(moves))


def _judged(history: History, uniform: Tensor) -> History:
    """The history with another uniform number for its last proposal."""
    *before, last = history.moves
    return history._replace(moves=(*before, last._replace(uniform=uniform)))
