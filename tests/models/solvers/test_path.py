"""The solver of a path against closed forms and its own promises."""

import math
from typing import Any

import pytest
import torch
from flows import SMALL, images_of, mixture, pulled_back
from torch import Tensor

from models.anomaly.path_rows import path_problem
from models.evaluation.analytic import Mixture
from models.schema.config import ModelConfig
from models.schema.specs import FlowPath
from models.solvers.base import Problem, RowStatus
from models.solvers.flow import line
from models.solvers.path import BINS, Path, PathSolver
from models.work.solve import solve

CONFIG = ModelConfig(
    image_shape=(1, 4, 1), vocabulary=256, latent_size=4, latent_k=1, gamma_min=-13.3
)
STANDARD = Mixture(CONFIG, torch.ones(1), torch.zeros(1, 4), torch.ones(1, 4))
TOKENS = torch.randint(
    256, (6, *CONFIG.chw), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
)


def problem_of(denoiser: Any, **spec: Any) -> Problem[Any]:
    """Rows with probes sqrt(D) e_i in the place of random ones: their mean is the trace itself."""
    problem = path_problem(denoiser, TOKENS, FlowPath(**spec), seed=0)
    probes = 2 * torch.eye(4).view(1, 4, *CONFIG.chw).expand(len(TOKENS), -1, -1, -1, -1)
    return problem._replace(columns=problem.columns._replace(probes=probes))


def path_of(denoiser: Any, problem: Problem[Any]) -> Path:
    solver = PathSolver(torch.float64)
    return solver.path(problem, solve(solver, problem, denoiser))


def test_few_steps_do_over_the_official_range() -> None:
    """The log-density of a diagonal Gaussian by 30 steps is off by less than a tenth of a nat."""
    denoiser = mixture(4, 1)
    problem = path_problem(denoiser, images_of(denoiser, 6), FlowPath(), seed=0)
    path = path_of(denoiser, problem)
    error = path.prior + path.log_det.mean(1) - pulled_back(denoiser, problem.columns.image)
    assert error.abs().max() < 0.1


def test_a_step_is_the_integral_against_rho() -> None:
    """The closed form is the limit of a fine sum, where the answer gains evenly with gamma."""
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
    assert torch.allclose(line(eps, change, noise[0].gamma, noise[1].gamma), expected, rtol=1e-8)
    assert torch.equal(line(eps, change, noise[0].gamma, noise[2].gamma), torch.zeros_like(eps))


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


def errors_of_one_probe(seeds: int) -> dict[str, Tensor]:
    """The errors of log-dets by one probe, `[seeds * images]`, against those by the exact trace."""
    denoiser = mixture(8, 4, SMALL)
    tokens = images_of(denoiser, 12)
    unit = math.sqrt(8) * torch.eye(8).view(1, 8, *denoiser.config.chw)
    found: dict[str, list[Tensor]] = {"fixed": [], "fresh": []}
    for seed in range(seeds):
        for probing, errors in found.items():
            problem = path_problem(denoiser, tokens, FlowPath(probing=probing, fresh=1), seed)
            errors.append(path_of(denoiser, problem).log_det.mean(1))
        exact = unit.expand(len(tokens), -1, -1, -1, -1)
        columns = problem.columns._replace(
            probes=exact, cycle=torch.zeros_like(problem.columns.cycle)
        )
        truth = path_of(denoiser, problem._replace(columns=columns)).log_det.mean(1)
        for errors in found.values():
            errors[-1] = errors[-1] - truth
    return {probing: torch.cat(errors) for probing, errors in found.items()}


def test_renewed_probes_err_less_than_fixed_ones_and_without_bias() -> None:
    errors = errors_of_one_probe(5)
    fixed, fresh = errors["fixed"], errors["fresh"]
    assert fresh.square().mean() < 0.3 * fixed.square().mean()
    assert fresh.mean().abs() < 4 * fresh.std() / math.sqrt(len(fresh))


def test_probes_change_the_log_det_and_nothing_else() -> None:
    denoiser = mixture(8, 4, SMALL)
    tokens = images_of(denoiser, 6)
    fixed, fresh = (
        path_of(denoiser, path_problem(denoiser, tokens, FlowPath(probing=probing), seed=0))
        for probing in ("fixed", "fresh")
    )
    assert not torch.equal(fixed.log_det, fresh.log_det)
    for name in set(Path._fields) - {"log_det"}:
        assert torch.equal(getattr(fixed, name), getattr(fresh, name)), name


def signs(probing: str, *points: int) -> list[Tensor]:
    """The signs of the cotangents of the questions at these points."""
    problem = path_problem(STANDARD, TOKENS, FlowPath(probing=probing), seed=0)
    solver = PathSolver()
    begun = solver.init(problem)
    asked = [solver.ask(problem, begun._replace(nfe=begun.nfe + point)) for point in points]
    return [query.cotangents.sign() for query in asked if query.cotangents is not None]


def test_fixed_probes_stay_and_fresh_ones_are_new_at_every_point() -> None:
    first, second = signs("fixed", 0, 7)
    assert torch.equal(first, second)
    first, second, again = signs("fresh", 0, 7, 7)
    assert not torch.equal(first, second)
    assert torch.equal(second, again)


def test_settings_from_before_probes_were_renewed_mean_fixed_ones() -> None:
    old = '{"name":"path","probes":1,"steps":30,"fresh":8}'
    assert FlowPath.model_validate_json(old).probing == "fixed"
    assert FlowPath().model_dump_json() == old
    fresh = FlowPath(probing="fresh")
    assert FlowPath.model_validate_json(fresh.model_dump_json()) == fresh
