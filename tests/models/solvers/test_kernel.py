"""The reverse transition kernel and the walk over its segments."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from models.evaluation.analytic import Gaussian
from models.network.network_time import NetworkTime
from models.network.schedule import NoiseLevel, Schedule
from models.rows.rows import Answer, Condition, Query, take
from models.schema.config import ModelConfig
from models.schema.fields import Grid, Start
from models.schema.specs import Ddpm, Dpm2mSde, RtkMala, RtkUla, RtkUld, SamplerSpec
from models.solvers import SAMPLERS
from models.solvers.base import Problem, RowStatus
from models.solvers.kernel import Kernel
from models.work.sampling import sample_problem
from models.work.solve import solve

CONFIG = ModelConfig(image_shape=(2, 2, 1), latent_size=3, latent_k=1)
DENOISER = Gaussian(CONFIG, torch.linspace(-0.5, 0.5, 4), 0.3 * torch.eye(4) + 0.1)
RTK = [
    RtkUla(segments=3, inner_steps=2),
    RtkUla(segments=3, inner_steps=2, start="kernel", grid="time"),
    RtkUld(segments=3, inner_steps=2),
    RtkUld(segments=3, inner_steps=2, start="kernel", grid="time"),
    RtkMala(segments=3, inner_steps=2),
    RtkMala(segments=3, inner_steps=2, start="kernel", grid="time"),
    RtkMala(segments=3, inner_steps=2, energy="simpson"),
]


def noise(gamma: Tensor) -> NoiseLevel:
    return NoiseLevel(gamma, torch.sigmoid(-gamma).sqrt(), torch.sigmoid(gamma).sqrt())


def between(low: float, high: float) -> tuple[Kernel, Tensor, NoiseLevel, NoiseLevel]:
    draws = torch.Generator().manual_seed(0)
    anchor, width = torch.randn(2, 5, 1, 2, 2, generator=draws, dtype=torch.float64)
    there = torch.full_like(anchor, low)
    here = there + (high - low) * torch.sigmoid(width)
    return Kernel.between(anchor, noise(here), noise(there)), anchor, noise(here), noise(there)


@pytest.mark.parametrize(("low", "high"), [(-13.3, 5.0), (-2.0, 1.0), (-7.9, -7.8)])
def test_drift_is_the_mass_times_the_gradient_of_g(low: float, high: float) -> None:
    kernel, anchor, here, there = between(low, high)
    x, eps = torch.randn(2, *anchor.shape, dtype=torch.float64)
    c = 1 - torch.exp(there.gamma - here.gamma)
    a, v = here.alpha / there.alpha, here.sigma.square() * c
    gradient = eps / there.sigma + a * (a * x - anchor) / v
    torch.testing.assert_close(kernel.mass, there.sigma.square() * c)
    torch.testing.assert_close(kernel.drift(x, eps), kernel.mass * gradient)


def test_the_guess_is_the_gaussian_factor() -> None:
    kernel, anchor, here, there = between(-3.0, 2.0)
    a, v = here.alpha / there.alpha, -here.sigma.square() * torch.expm1(there.gamma - here.gamma)
    nothing, one = torch.zeros_like(anchor), torch.ones_like(anchor)
    torch.testing.assert_close(kernel.guess(nothing), anchor / a)
    torch.testing.assert_close(kernel.guess(one) - kernel.guess(nothing), v.sqrt() / a)


def test_tiny_steps_of_gamma_keep_their_digits() -> None:
    gamma = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    kernel = Kernel.between(gamma, noise(gamma), noise(gamma - 1e-13))
    assert kernel.mass.item() == pytest.approx(0.5e-13, rel=1e-2)
    assert kernel.gain.item() == pytest.approx(0.5**0.5 * 1e-13, rel=1e-2)


@pytest.mark.parametrize("spec", RTK, ids=repr)
def test_a_dimension_whose_gamma_stands_still_stays_put(spec: SamplerSpec) -> None:
    free = sample_problem(DENOISER, spec, 3, torch.arange(4))
    moving = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    *curve, low, high = free.condition.schedule
    schedule = Schedule(*(leaf * moving for leaf in curve), low, high)
    condition = Condition(free.condition.latent, schedule, NetworkTime.of(schedule))
    problem = free._replace(condition=condition)
    solver: Any = SAMPLERS[spec.name]
    start = solver.sample(problem, solver.init(problem)).x
    end = solver.sample(problem, solve(solver, problem, DENOISER)).x
    assert end.isfinite().all()
    still = (end == start).flatten(1)
    assert still[:, 3].all()
    assert not still[:, :3].any()


@pytest.mark.parametrize("grid", ["gamma", "time"])
@pytest.mark.parametrize("rtk", [RtkUla, RtkUld, RtkMala])
@pytest.mark.parametrize(("start", "steps"), [("ancestral", Ddpm), ("multistep", Dpm2mSde)])
def test_with_inner_steps_of_no_length_rtk_is_what_starts_it(
    rtk: type[RtkUla | RtkUld | RtkMala],
    start: Start,
    steps: type[Ddpm | Dpm2mSde],
    grid: Grid,
) -> None:
    index = torch.arange(16)
    plain = sample_problem(DENOISER, steps(steps=6, grid=grid), 5, index)
    spec = rtk(segments=6, grid=grid, start=start)
    bare: Problem[Any] = sample_problem(DENOISER, spec, 5, index)
    # An inner step moves x by these columns, whatever the method.
    still = {
        name: torch.zeros_like(table)
        for name, table in bare.columns._asdict().items()
        if name in {"step_size", "glide", "fall", "lean", "spread"}
    }
    bare = bare._replace(columns=bare.columns._replace(**still))
    samples = [
        SAMPLERS[name].sample(problem, solve(SAMPLERS[name], problem, DENOISER))
        for name, problem in ((steps().name, plain), (spec.name, bare))
    ]
    assert torch.equal(samples[0].x, samples[1].x)
    assert samples[1].nfe.tolist() == [spec.evaluations] * 16


@pytest.mark.parametrize("start", ["ancestral", "multistep"])
@pytest.mark.parametrize("energy", ["simpson", "trapezoid"])
@pytest.mark.parametrize("inner_steps", [1, 3])
def test_a_start_by_the_chains_last_prediction_is_the_one_that_would_be_asked_for(
    start: Start, energy: Any, inner_steps: int
) -> None:
    """Bit for bit, and for one evaluation less in every segment but the first."""
    spec = RtkMala(segments=4, inner_steps=inner_steps, start=start, energy=energy)
    problem: Problem[Any] = sample_problem(DENOISER, spec, 2, torch.arange(32))
    plan = problem.columns.plan
    asking = plan._replace(carried=torch.zeros_like(plan.carried))
    asks = problem._replace(columns=problem.columns._replace(plan=asking))
    solver: Any = SAMPLERS[spec.name]
    cheap, dear = (solver.sample(rows, solve(solver, rows, DENOISER)) for rows in (problem, asks))
    assert torch.equal(cheap.x, dear.x)
    assert torch.equal(cheap.acceptance_rate, dear.acceptance_rate)
    assert (dear.nfe - cheap.nfe).tolist() == [3] * 32
    assert cheap.nfe.tolist() == [spec.evaluations] * 32


def test_every_segment_guesses_with_noise_of_its_own() -> None:
    spec = RtkUla(segments=3, inner_steps=1, start="kernel")
    problem = sample_problem(DENOISER, spec, 0, torch.arange(1000))
    solver: Any = SAMPLERS[spec.name]
    state, draws = solver.init(problem), []
    for _ in range(3):
        kernel = state.walk.kernel()
        draws.append(((state.x - kernel.centre) / (kernel.mass / kernel.pull).sqrt()).flatten())
        answer = DENOISER.evaluate(solver.ask(problem, state), problem.condition)
        state = solver.tell(problem, state, answer)
    covariance = torch.stack(draws).cov()
    torch.testing.assert_close(covariance, torch.eye(3).double(), rtol=0, atol=0.12)


class Listener:
    """A denoiser that keeps what it was asked."""

    def __init__(self) -> None:
        self.config = CONFIG
        self.queries: list[Query] = []

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        self.queries.append(query)
        return DENOISER.evaluate(query, condition)

    def encode(self, x: Tensor) -> Tensor:
        return DENOISER.encode(x)

    def condition(self, latent: Tensor) -> Condition:
        return DENOISER.condition(latent)


@pytest.mark.parametrize("spec", RTK, ids=repr)
def test_the_chain_asks_at_the_cleaner_end_and_the_last_one_at_zero(
    spec: RtkUla | RtkUld | RtkMala,
) -> None:
    listener = Listener()
    problem = sample_problem(DENOISER, spec, 0, torch.arange(2))
    solve(SAMPLERS[spec.name], problem, listener)
    asked = torch.stack([query.t for query in listener.queries])
    network_time = problem.condition.network_time
    ends = [torch.full((2,), left / 3, dtype=torch.float64) for left in (3, 2, 1, 0)]
    if spec.grid == "gamma":
        ends = [network_time.t(end) for end in ends]
    expected = []
    for segment, (t, r) in enumerate(pairwise(ends)):
        asked_at_start = spec.start != "kernel" and not (spec.knows_its_end and segment)
        expected += ([t] if asked_at_start else []) + [r] * spec.chain
    assert len(expected) == spec.evaluations
    torch.testing.assert_close(asked, torch.stack(expected), rtol=0, atol=1e-14)
    assert (asked[-1] == 0).all()


@pytest.mark.parametrize("spec", RTK, ids=repr)
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_an_answer_that_is_not_finite_fails_the_row_whenever_it_comes(
    spec: RtkUla | RtkUld | RtkMala, poison: float
) -> None:
    """Row i is poisoned at its i-th evaluation, the last row never."""
    count = spec.evaluations
    solver: Any = SAMPLERS[spec.name]
    problem = sample_problem(DENOISER, spec, 0, torch.arange(count + 1))
    clean = solver.sample(problem, solve(solver, problem, DENOISER)).x
    state = solver.init(problem)
    for step in range(count):
        answer = DENOISER.evaluate(solver.ask(problem, state), problem.condition)
        answer.eps[step, 0, 0, 0] = poison
        state = solver.tell(problem, state, answer)
    status = solver.status(problem, state)
    assert status.tolist() == [RowStatus.NOT_FINITE] * count + [RowStatus.DONE]
    last = torch.tensor([count])
    assert torch.equal(take(solver.sample(problem, state), last).x, clean[-1:])
