"""The Metropolis-adjusted chain: its rule, replayed in long form, and the law that it keeps."""

from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from models.evaluation.analytic import AnalyticDenoiser, Mixture
from models.rows.noise import Stream, uniform
from models.rows.rows import take
from models.schema.config import ModelConfig
from models.schema.specs import RtkMala, RtkUla
from models.solvers import SAMPLERS
from models.solvers.base import Problem
from models.work.sampling import sample_problem

Energy = Literal["simpson", "trapezoid"]
ENERGIES: tuple[Energy, ...] = ("simpson", "trapezoid")
PLANE = ModelConfig(image_shape=(1, 3, 1), latent_size=3, latent_k=1, gamma_min=-2.0, gamma_max=2.0)
LINE = ModelConfig(image_shape=(1, 1, 1), latent_size=3, latent_k=1, gamma_min=-1.0, gamma_max=3.0)
MEAN = torch.tensor([0.8, -0.3, 0.1])
COVARIANCE = torch.tensor([[0.5, 0.3, 0.0], [0.3, 0.4, 0.1], [0.0, 0.1, 0.2]])
SOLVER: Any = SAMPLERS["rtk-mala"]


def problem(denoiser: AnalyticDenoiser, spec: RtkMala | RtkUla, rows: int) -> Problem[Any]:
    """Many images of one latent; its schedule is worked out once."""
    one = sample_problem(denoiser, spec, 1, torch.zeros(1, dtype=torch.int64), latent=(0,))
    many = take(one, torch.zeros(rows, dtype=torch.int64))
    return many._replace(key=many.key._replace(number=torch.arange(rows)))


def chain(denoiser: AnalyticDenoiser, problem: Problem[Any], solver: Any, state: Any) -> Any:
    """The state after one inner chain of a kernel start: before the next segment begins."""
    for _ in range(int(problem.columns.plan.length[0])):
        answer = denoiser.evaluate(solver.ask(problem, state), problem.condition)
        state = solver.tell(problem, state, answer)
    return state


def long_ratio(
    problem: Problem[Any], walk: Any, x: Tensor, y: Tensor, ends: tuple[Tensor, ...], c: float
) -> Tensor:
    """-(g(y) - g(x)) + log q(x | y) - log q(y | x) in long form, float64."""
    here, there = walk.here.noise, walk.there.noise
    big_c = -torch.expm1(there.gamma - here.gamma)
    a, v, mass = here.alpha / there.alpha, here.sigma.square() * big_c, there.sigma.square() * big_c
    x, y, anchor, ex, em, ey = (leaf.double() for leaf in (x, y, walk.anchor, *ends))

    def quadratic(at: Tensor) -> Tensor:
        return (anchor - a * at).square() / (2 * v)

    def gradient(at: Tensor, eps: Tensor) -> Tensor:
        return eps / there.sigma + a * (a * at - anchor) / v

    def log_q(to: Tensor, at: Tensor, eps: Tensor) -> Tensor:
        return -(to - at + c * mass * gradient(at, eps)).square() / (4 * c * mass)

    work = (y - x) * (ex + 4 * em + ey) / (6 * there.sigma)
    change = quadratic(y) - quadratic(x) + work
    return (-change + log_q(x, y, ey) - log_q(y, x, ex)).flatten(1).sum(1)


@pytest.mark.parametrize("energy", ENERGIES)
def test_every_decision_is_that_of_the_long_form(energy: Energy) -> None:
    """A curved density and large steps, so that a wrong sign, proposal ratio or mass shows."""
    c, rows = 0.8, 1000
    denoiser = Mixture(
        PLANE, torch.ones(2), torch.stack([MEAN, -MEAN]), torch.full((2, 3), 0.05), schedule_seed=4
    )
    spec = RtkMala(segments=2, inner_steps=3, step_size=c, start="ancestral", energy=energy)
    rows_ = problem(denoiser, spec, rows)
    plan = rows_.columns.plan
    state, ends, taken = SOLVER.init(rows_), {}, 0
    for _ in range(spec.evaluations):
        query = SOLVER.ask(rows_, state)
        answer = denoiser.evaluate(query, rows_.condition)
        told = SOLVER.tell(rows_, state, answer)
        awaited = SOLVER._awaited(rows_.columns, state.walk.nfe)
        if awaited.first.all():
            ends["x"] = answer.eps
        if awaited.midway.all():
            ends["middle"] = answer.eps
            middle = (state.walk.x.double() + state.own.x.double()) / 2
            torch.testing.assert_close(query.x.double(), middle, rtol=0, atol=1e-6)
        if awaited.judged.all():
            x, y = state.walk.x, query.x
            middle = ends["middle"] if energy == "simpson" else (ends["x"] + answer.eps) / 2
            ratio = long_ratio(rows_, state.walk, x, y, (ends["x"], middle, answer.eps), c)
            log_u = uniform(rows_.key, Stream.ACCEPT, plan.place(state.nfe), ()).log()
            accepted = told.own.accepted > state.own.accepted
            clear = (log_u - ratio).abs() > 1e-3
            assert torch.equal(accepted[clear], (log_u < ratio)[clear])
            assert clear.double().mean() > 0.99
            assert 0.2 < accepted.double().mean() < 0.9
            chosen = torch.where(accepted[:, None, None, None], y, x)
            left = (plan.phase(state.nfe) == plan.chain - 1)[:, None, None, None]
            assert torch.equal(torch.where(left, told.walk.anchor, told.walk.x), chosen)
            kept = torch.where(accepted[:, None, None, None], answer.eps, ends["x"])
            assert torch.equal(told.own.eps, kept)
            ends["x"] = kept
            taken += int(accepted.sum())
        state = told
    rate = SOLVER.sample(rows_, state).acceptance_rate
    assert rate.mean().item() == pytest.approx(taken / (rows * 6))


def two_mode_distance(spec: RtkMala | RtkUla) -> float:
    """Total variation between histograms: chains in a kernel of two modes, and its density."""
    denoiser = Mixture(
        LINE,
        torch.tensor([0.6, 0.4]),
        torch.tensor([[-1.0], [1.0]]),
        torch.full((2, 1), 0.01),
        bend=0,
    )
    solver: Any = SAMPLERS[spec.name]
    rows = problem(denoiser, spec, 20_000)
    state = solver.init(rows)
    # One x_t for all; the chains start spread over both modes.
    walk = state.walk._replace(anchor=torch.full_like(state.walk.x, 0.1))
    state = state._replace(walk=walk)
    x = solver.sample(rows, chain(denoiser, rows, solver, state)).x.flatten()
    one = take(rows, torch.zeros(1, dtype=torch.int64))
    here, there = (one.condition.schedule.noise(m.t[:1]) for m in (walk.here, walk.there))
    a, v = here.alpha / there.alpha, here.sigma.square() * -torch.expm1(there.gamma - here.gamma)
    bins, fine = 20, 200
    at = torch.linspace(-4, 4, 2 * bins * fine + 1, dtype=torch.float64)[1::2]
    density = denoiser.log_density(at[:, None], *(s.flatten(1) for s in (there.alpha, there.sigma)))
    log_kernel = density - (0.1 - a.flatten() * at).square() / (2 * v.flatten())
    exact = log_kernel.softmax(0).view(bins, fine).sum(1)
    found = torch.histc(x, bins, -4, 4) / len(x)
    return 0.5 * (found - exact).abs().sum().item()


def test_a_mixture_tells_simpson_from_trapezoid_and_both_from_none() -> None:
    common: dict[str, Any] = {"segments": 1, "inner_steps": 40, "step_size": 0.6, "start": "kernel"}
    simpson, trapezoid = (
        two_mode_distance(RtkMala(energy=energy, **common)) for energy in ENERGIES
    )
    unadjusted = two_mode_distance(RtkUla(**common))
    assert simpson < 0.02
    assert trapezoid > 2.5 * simpson
    assert unadjusted > 1.15 * trapezoid
