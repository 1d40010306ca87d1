"""Test bits/dim by two independent ways, on a model whose density is known."""

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from tqdm import tqdm

from models.evaluation.likelihood import likelihood
from models.evaluation.likelihood.likelihood import LikelihoodEvaluation, evaluate_likelihood
from models.files.images import Tokens
from models.network.mulan import Mulan
from models.network.network import Reading
from models.network.schedule import NoiseLevel
from models.runtimes.eager import eager_denoiser
from models.schema.errors import EvaluationError
from models.schema.mulan import MulanConfig
from models.schema.scores import Score
from models.schema.specs import Adams

CONFIG = MulanConfig(
    image_shape=(4, 4, 1),
    vocabulary=17,
    width=8,
    depth=1,
    encoder_depth=1,
    latent_size=5,
    latent_k=1,
    gamma_min=-5.0,
    schedule_width=8,
    groups=4,
    fourier=(),
)
IMAGES: Tokens = np.random.Generator(np.random.PCG64(0)).integers(
    3, 14, (24, 4, 4, 1), dtype=np.uint8
)


class Standard(Mulan):
    """Knows its data to be N(0, I); encoder and schedule are what they are."""

    def reading(self, x: Tensor, noise: NoiseLevel) -> Reading:
        return Reading(torch.zeros_like(x), noise.sigma.to(x))


class Broken(Standard):
    def reading(self, x: Tensor, noise: NoiseLevel) -> Reading:
        return Reading(torch.zeros_like(x), torch.full_like(x, math.nan))


def evaluated(kind: type[Mulan] = Standard, **options: Any) -> LikelihoodEvaluation:
    torch.manual_seed(0)
    model = kind(CONFIG).eval().requires_grad_(False)
    spec = options.pop("spec", Adams(tolerance_nats=0.01))
    return evaluate_likelihood(model, eager_denoiser(model), IMAGES, spec, **options)


def expected_bits() -> np.ndarray:
    """-log2 P(v) per dimension: each pixel is N(0, 1) at t = 0, a bin is 2 alpha_0/V wide."""
    edges = math.exp(CONFIG.log_alpha0) * (2 * np.arange(18) / 17 - 1) / math.sqrt(2)
    mass = np.diff([math.erf(edge) for edge in edges]) / 2
    bits: np.ndarray = -np.log2(mass)[IMAGES].reshape(len(IMAGES), -1).mean(1)
    return bits


def test_both_ways_find_the_known_density() -> None:
    found = evaluated(draws=4, elbo_draws=512, batch=24)
    latent = math.log2(5) / CONFIG.dimensions
    truth = float(expected_bits().mean()) + latent
    assert found.ode.bound.mean == pytest.approx(truth, abs=0.005)
    assert found.elbo.bound.mean == pytest.approx(truth, abs=0.02)
    for estimate in (found.ode, found.elbo):
        kl = latent - (estimate.bound.mean - estimate.paper.mean)
        assert 0 <= kl <= latent
    assert found.ode.bound.standard_error == pytest.approx(
        expected_bits().std(ddof=1) / math.sqrt(24), rel=0.5
    )
    assert (found.ode.failed, found.ode.images, found.elbo.images) == (0, 24, 24)
    assert found.ode.trace_standard_error == pytest.approx(0, abs=1e-4)
    assert found.ode.draw_standard_error is not None
    assert found.ode.nfe >= 4 * 37


def test_the_batch_does_not_matter() -> None:
    small, large = (evaluated(batch=batch, elbo_draws=2).ode for batch in (5, 64))
    assert small.bound.mean == pytest.approx(large.bound.mean, rel=1e-6)
    assert small.nfe == large.nfe


def test_it_can_be_written_down_and_read_again() -> None:
    found = evaluated(spec=Adams(probes=1, probing="fixed"), elbo_draws=2)
    assert LikelihoodEvaluation.model_validate_json(found.model_dump_json()) == found
    assert found.ode.trace_standard_error is None
    assert found.ode.draw_standard_error is None


def test_the_trace_error_is_given_as_its_root_mean_square_and_as_its_median() -> None:
    errors = [1.0, 2.0, 6.0]
    scores = [
        Score(log_px_given_z=-1.0, trace_standard_error=error, ode_error_estimate=0.1, nfe=40)
        for error in errors
    ]
    found = likelihood._ode_estimate(CONFIG, scores, torch.zeros(3), Adams(), draws=1)
    assert found.trace_standard_error == pytest.approx(math.sqrt(41 / 3))
    assert found.median_trace_standard_error == 2.0


def test_without_a_single_score_there_is_no_figure() -> None:
    with pytest.raises(EvaluationError, match="stopped being finite"):
        evaluated(Broken, elbo_draws=1)


def test_the_ode_is_seen_to_move_within_one_batch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(likelihood, "tqdm", partial(tqdm, mininterval=0, miniters=0))
    evaluated(ode_images=5, elbo_draws=1, draws=2, batch=64)
    shown = [line for line in capsys.readouterr().err.split("\r") if line.startswith("ODE")]
    come = [float(line.split("|")[2].split("/")[0]) for line in shown]
    assert come == sorted(come)
    assert (come[0], come[-1]) == (0, 5)
    assert any(0 < images < 5 for images in come)
    assert "10/10 rows done" in shown[-1]


def test_the_ode_may_solve_fewer_images() -> None:
    found = evaluated(ode_images=5, elbo_draws=1)
    assert (found.elbo.images, found.ode.images) == (24, 5)
    assert found.ode.bound.standard_error is not None
