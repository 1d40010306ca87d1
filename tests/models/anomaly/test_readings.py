"""From images to readings: what they hold, and what they may depend on."""

import math

import numpy as np
import pytest
import torch

from models.anomaly.latents import latent_mass
from models.anomaly.path_rows import path_problem, path_readings
from models.anomaly.readings import Reading
from models.anomaly.rows import calls, read
from models.anomaly.statistics import FITTED
from models.evaluation.analytic import Mixture
from models.files.images import Tokens
from models.rows.rows import Answer, Condition, Query, take
from models.schema.config import ModelConfig
from models.schema.specs import FlowPath, Rk45
from models.solvers.base import RowStatus
from models.solvers.path import PathSolver
from models.solvers.rk45 import Rk45Solver
from models.work.likelihood import score_problem, summarise
from models.work.solve import solve

CONFIG = ModelConfig(
    image_shape=(2, 3, 1), vocabulary=17, latent_size=5, latent_k=2, gamma_min=-7.9
)
DENOISER = Mixture(
    CONFIG,
    torch.tensor([0.5, 0.3, 0.2]),
    torch.linspace(-0.8, 0.8, 18).view(6, 3).T,
    torch.full((3, 6), 0.05),
)
IMAGES: Tokens = np.random.default_rng(2).integers(0, 17, (9, 2, 3, 1), dtype=np.uint8)
SPEC = FlowPath(steps=8, fresh=4)


def values(reading: Reading) -> dict[str, float]:
    assert reading.values is not None, reading.reason
    return reading.values


def test_a_reading_holds_every_statistic_of_the_solve() -> None:
    for reading in read(DENOISER, IMAGES, SPEC, seed=0):
        assert (*values(reading), "codec_bits", "excess_bits") == FITTED
        assert all(math.isfinite(value) for value in values(reading).values())
        assert reading.nfe == SPEC.evaluations
        assert reading.contribution is not None
        assert reading.contribution.shape == CONFIG.image_shape
        total = sum(values(reading)[f"denoising_{quarter}"] for quarter in range(1, 5))
        assert reading.contribution.sum() == pytest.approx(total, rel=1e-5)


def test_a_reading_depends_on_the_image_and_the_seed_alone() -> None:
    together = read(DENOISER, IMAGES, SPEC, seed=0)
    order = [4, 0, 8]
    permuted = read(DENOISER, IMAGES[order], SPEC, seed=0, batch=2)
    for reading, place in zip(permuted, order, strict=True):
        assert values(reading) == pytest.approx(values(together[place]), rel=1e-6)
    other = read(DENOISER, IMAGES, SPEC, seed=1)
    assert all(values(one) != values(two) for one, two in zip(together, other, strict=True))


def test_its_likelihood_is_that_of_the_likelihood_s_own_solver() -> None:
    tokens = torch.from_numpy(IMAGES[:3]).permute(0, 3, 1, 2).contiguous()
    exact = score_problem(DENOISER, tokens, Rk45(probes=1, tolerance_nats=1e-2), seed=3, draws=1)
    solver = Rk45Solver()
    density = solver.density(exact, solve(solver, exact, DENOISER))
    for row, reading in enumerate(read(DENOISER, IMAGES[:3], FlowPath(steps=300), seed=3)):
        score = summarise(CONFIG, take(density, torch.tensor([row])), Rk45())
        found = values(reading)
        assert found["log_px_given_z"] == pytest.approx(score.log_px_given_z, abs=0.05)
        assert found["log_prior"] == pytest.approx(score.prior, abs=0.05)
        assert found["log_det"] == pytest.approx(score.log_det, abs=0.05)


class Deaf(Mixture):
    """Answers nothing about its second row."""

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        answer = super().evaluate(query, condition)
        answer.eps[1] = torch.nan
        return answer


def test_a_row_that_is_not_finite_is_a_reason_and_no_number() -> None:
    deaf = Deaf(CONFIG, DENOISER.weights, DENOISER.means, DENOISER.variances)
    good, bad, *_ = read(deaf, IMAGES, SPEC, seed=0)
    assert values(good) == values(read(DENOISER, IMAGES, SPEC, seed=0)[0])
    assert bad == Reading(SPEC.evaluations, reason=RowStatus.NOT_FINITE.reason)


def test_a_statistic_that_is_not_finite_is_a_reason_too() -> None:
    tokens = torch.from_numpy(IMAGES[:1]).permute(0, 3, 1, 2).contiguous()
    problem = path_problem(DENOISER, tokens, SPEC, seed=0)
    solver = PathSolver()
    path = solver.path(problem, solve(solver, problem, DENOISER))
    (reading,) = path_readings(problem, path._replace(prior=path.prior * math.inf))
    assert reading.reason == RowStatus.NOT_FINITE.reason
    assert reading.values is reading.contribution is None


def test_the_calls_are_counted_beforehand() -> None:
    made: list[int] = []
    read(DENOISER, IMAGES, SPEC, seed=0, batch=4, on_call=lambda: made.append(1))
    assert len(made) == calls(len(IMAGES), SPEC, batch=4) == 3 * SPEC.evaluations


def test_the_latent_s_mass() -> None:
    logits = torch.tensor([[1.0, 2.0, -1.0], [0.0, 0.0, 0.0]])
    latent = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    share = logits.double().softmax(1)
    expected = [float(share[0, :2].sum().log()), math.log(1 / 3)]
    assert latent_mass(logits, latent).tolist() == pytest.approx(expected)
    assert latent_mass(torch.zeros(2, 0), torch.zeros(2, 0)).tolist() == [0.0, 0.0]
