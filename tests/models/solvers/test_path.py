"""The path's solver against the adaptive one, closed forms and its own promises."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from models.anomaly.rows import path_problem
from models.evaluation.analytic import Gaussian, Mixture
from models.rows.rows import Answer, Condition, Query
from models.schema.config import ModelConfig
from models.schema.specs import FlowPath, Rk45
from models.solvers.base import Problem, RowStatus
from models.solvers.flow import line
from models.solvers.path import BINS, Path, PathSolver
from models.solvers.rk45 import Rk45Solver
from models.work.likelihood import score_problem
from models.work.solve import solve

CONFIG = ModelConfig(
    image_shape=(1, 4, 1), vocabulary=256, latent_size=4, latent_k=1, gamma_min=-13.3
)
FACTOR = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
CORRELATED = Gaussian(
    CONFIG,
    torch.tensor([0.3, -0.2, 0.1, 0.0]),
    0.1 * FACTOR @ FACTOR.T + 0.02 * torch.eye(4),
    schedule_seed=3,
)
STANDARD = Mixture(CONFIG, torch.ones(1), torch.zeros(1, 4), torch.ones(1, 4))
TOKENS = torch.randint(
    256, (6, *CONFIG.chw), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
)


def problem_of(denoiser: Any, **spec: Any) -> Problem[Any]:
    """With D probes sqrt(D) e_i in the place of random ones: their mean is the trace itself."""
    problem = path_problem(denoiser, TOKENS, FlowPath(**spec), seed=0)
    probes = 2 * torch.eye(4).view(1, 4, *CONFIG.chw).expand(len(TOKENS), -1, -1, -1, -1)
    return problem._replace(columns=problem.columns._replace(probes=probes))


def path_of(denoiser: Any, problem: Problem[Any]) -> Path:
    solver = PathSolver(torch.float64)
    return solver.path(problem, solve(solver, problem, denoiser))


def log_p0(path: Any) -> Tensor:
    density: Tensor = path.prior + path.log_det.mean(1)
    return density


def precise(denoiser: Any) -> Tensor:
    """The same images' log-density by the adaptive solver at a tight tolerance."""
    problem = score_problem(denoiser, TOKENS, Rk45(tolerance_nats=1e-6), seed=0, draws=1)
    probes = problem_of(denoiser).columns.probes
    problem = problem._replace(columns=problem.columns._replace(probes=probes))
    solver = Rk45Solver(dtype=torch.float64)
    return log_p0(solver.density(problem, solve(solver, problem, denoiser)))


def test_it_comes_to_the_adaptive_solver_s_density_at_second_order() -> None:
    truth = precise(CORRELATED)
    few, some, coarse, fine = (
        float((log_p0(path_of(CORRELATED, problem_of(CORRELATED, steps=steps))) - truth).norm())
        for steps in (30, 60, 480, 960)
    )
    assert some < few / 4 < 0.2
    assert fine < 1e-3
    assert 1.7 < math.log2(coarse / fine) < 2.3


def test_a_standard_normal_s_path_stands_still() -> None:
    """eps = sigma x there and x_t is constant: rate and trace are known, and nothing is lost."""
    problem = problem_of(STANDARD, steps=400)
    path = path_of(STANDARD, problem)
    start = problem.condition.schedule.noise(torch.zeros(6, dtype=torch.float64)).alpha
    x = start * problem.columns.image
    assert torch.allclose(path.noise, x, rtol=0, atol=1e-3)
    expected = -0.5 * (x.square() + math.log(2 * math.pi)).flatten(1).sum(1)
    assert torch.allclose(log_p0(path), expected, rtol=0, atol=1e-2)
    for quarter in range(BINS):
        s = (quarter + (torch.arange(400) + 0.5) / 400) / BINS
        variance = torch.stack(
            [
                problem.condition.schedule.noise(
                    problem.condition.network_time.t(at.expand(6).double())
                ).sigma.square()
                for at in s
            ]
        ).mean(0)
        rate = (variance * x.square()).flatten(1).mean(1) / BINS
        assert torch.allclose(path.length[:, quarter], rate, rtol=1e-3)


def test_a_step_is_the_integral_against_rho() -> None:
    """Where the answer gains evenly with gamma, the closed form is what a fine sum comes to."""
    problem = problem_of(STANDARD)
    noise = [
        problem.condition.schedule.noise(torch.full((6,), t, dtype=torch.float64))
        for t in (0.4, 0.7, 0.4)
    ]
    eps, change = torch.randn(2, 6, *CONFIG.chw, dtype=torch.float64)
    share = ((torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000).view(-1, 1, 1, 1, 1)
    span = noise[1].gamma - noise[0].gamma
    rho = 0.5 * torch.exp(0.5 * (noise[0].gamma + share * span)) * span
    expected = ((eps + share * change) * rho).mean(0)
    assert torch.allclose(line(eps, change, noise[0], noise[1]), expected, rtol=1e-8)
    assert torch.equal(line(eps, change, noise[0], noise[2]), torch.zeros_like(eps))


class Silent(Mixture):
    """Predicts nothing: every fresh draw is missed by its whole length."""

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        answer = super().evaluate(query, condition)
        return answer._replace(eps=torch.zeros_like(answer.eps))


def test_the_cost_is_the_bound_s_integral() -> None:
    """With nothing predicted its mean is half the range of gamma, in every pixel and quarter."""
    silent = Silent(CONFIG, STANDARD.weights, STANDARD.means, STANDARD.variances)
    path = path_of(silent, problem_of(silent, steps=2, fresh=1000))
    half = (CONFIG.gamma_max - CONFIG.gamma_min) / 2
    assert torch.allclose(path.map, torch.full_like(path.map, half), rtol=0.2)
    assert torch.allclose(path.cost, torch.full_like(path.cost, 4 * half / BINS), rtol=0.2)
    assert torch.allclose(path.map.flatten(1).sum(1), path.cost.sum(1))
    assert (path.noise == path.noise[0, 0, 0, 0]).sum() == 1
    assert not path.bend.any()


@pytest.mark.parametrize(("steps", "fresh"), [(2, 1), (5, 3), (30, 8)])
def test_rows_cost_what_their_settings_say(steps: int, fresh: int) -> None:
    spec = FlowPath(steps=steps, fresh=fresh)
    path = path_of(STANDARD, problem_of(STANDARD, steps=steps, fresh=fresh))
    assert path.nfe.tolist() == [steps + 1 + fresh] * 6
    assert path.nfe[0] == spec.evaluations
    assert path.status.tolist() == [RowStatus.DONE] * 6
    assert path.length.shape == (6, BINS)


def test_a_verdict_costs_at_most_forty_evaluations() -> None:
    assert FlowPath().evaluations <= 40
