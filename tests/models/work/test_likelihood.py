"""Dequantization, the bookkeeping of a score, and what a score may depend on."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.evaluation.analytic import Mixture
from models.network.pixels import data_to_tokens, tokens_to_data
from models.rows.rows import QUANTUM, NoiseKey, pad, take
from models.schema.config import ModelConfig
from models.schema.scores import Score
from models.schema.specs import Adams
from models.solvers.adams import AdamsSolver
from models.solvers.base import RowStatus
from models.solvers.flow import LogDensity
from models.solvers.probing import fixed_error
from models.work.likelihood import content_seed, dequantize, score_problem, summarise
from models.work.solve import solve

CONFIG = ModelConfig(
    image_shape=(2, 3, 1), vocabulary=17, latent_size=5, latent_k=2, gamma_min=-7.9, gamma_max=5.0
)
DENOISER = Mixture(
    CONFIG,
    torch.tensor([0.5, 0.3, 0.2]),
    torch.linspace(-0.8, 0.8, 18).view(6, 3).T,
    torch.tensor([0.05, 0.1, 0.02])[:, None].expand(3, 6),
)
IMAGES = torch.randint(
    17, (7, *CONFIG.chw), dtype=torch.uint8, generator=torch.Generator().manual_seed(2)
)


def scores_of(
    denoiser: Any, tokens: Tensor, seed: int = 0, draws: int = 1, **spec: Any
) -> list[Score]:
    # As in serving, so that the same images give the same bytes.
    problem = pad(score_problem(denoiser, tokens, Adams(**spec), seed, draws), QUANTUM)
    solver = AdamsSolver()
    density = solver.density(problem, solve(solver, problem, denoiser))
    rows = torch.arange(len(tokens) * draws).split(draws)
    return [summarise(denoiser.config, take(density, row), Adams(**spec)) for row in rows]


def one_pixel(gamma_min: float, vocabulary: int) -> ModelConfig:
    return ModelConfig(
        image_shape=(1, 1, 1), vocabulary=vocabulary, latent_size=3, latent_k=1, gamma_min=gamma_min
    )


def keys(count: int) -> NoiseKey:
    return NoiseKey(torch.zeros(count, dtype=torch.int64), torch.arange(count))


@pytest.mark.parametrize("pixel_map", ["centres", "ends"])
@pytest.mark.parametrize(
    ("gamma_min", "vocabulary"), [(-13.3, 256), (-8.0, 256), (-8.0, 17), (-13.3, 17), (-7.9, 2)]
)
def test_the_dequantization_is_a_density_on_the_bin(
    gamma_min: float, vocabulary: int, pixel_map: str
) -> None:
    config = one_pixel(gamma_min, vocabulary).model_copy(update={"pixel_map": pixel_map})
    rows = 20_000
    token = torch.full((rows, 1, 1, 1), vocabulary // 2, dtype=torch.uint8)
    clean = tokens_to_data(token, config)
    image, cost = dequantize(config, clean, keys(rows))
    assert (image - clean).abs().max() <= 1 / config.bins
    x = math.exp(config.log_alpha0) * image
    assert torch.equal(data_to_tokens(x, config), token)
    order = x.flatten().argsort()
    density = torch.exp(-cost[order])
    assert float(torch.trapezoid(density, x.flatten()[order])) == pytest.approx(1, abs=2e-3)


def test_the_dequantization_is_the_cut_normal() -> None:
    config = one_pixel(-8.0, 17)
    rows = 20_000
    image, _ = dequantize(config, torch.zeros(rows, 1, 1, 1, dtype=torch.float64), keys(rows))
    n = image.flatten().sort().values * math.exp(4.0)
    edge = math.exp(4.0) / 17
    expected = 0.5 + 0.5 * torch.erf(n / math.sqrt(2)) / math.erf(edge / math.sqrt(2))
    observed = (torch.arange(rows) + 0.5) / rows
    assert (expected - observed).abs().max() < 1.63 / math.sqrt(rows)


@pytest.mark.parametrize(
    ("gamma_min", "vocabulary", "low"), [(-3.2, 5, 0.99), (-5.5, 9, 0.985), (-13.3, 5, 0.0)]
)
def test_the_tokens_of_a_pixel_share_one_probability(
    gamma_min: float, vocabulary: int, low: float
) -> None:
    """All of it where the noise fills the bin; a lower bound where it leaves most of it empty."""
    config = one_pixel(gamma_min, vocabulary)
    denoiser = Mixture(
        config, torch.tensor([0.6, 0.4]), torch.tensor([[-0.3], [0.4]]), torch.tensor([[0.02]] * 2)
    )
    tokens = torch.arange(vocabulary, dtype=torch.uint8).view(-1, 1, 1, 1)
    scores = scores_of(denoiser, tokens, draws=1000, probes=1, tolerance_nats=0.001)
    given_z = sum(math.exp(score.log_px_given_z or 0.0) for score in scores)
    assert low <= given_z <= 1.005
    bound = sum(math.exp(score.log_px_lower_bound or 0.0) for score in scores)
    assert bound == pytest.approx(given_z / 3)


def test_more_draws_tighten_the_bound() -> None:
    means = [
        np.mean([score.log_px_given_z for score in scores_of(DENOISER, IMAGES, draws=draws)])
        for draws in (1, 16)
    ]
    assert means[0] < means[1]


def test_a_score_depends_on_the_image_and_the_seed_alone() -> None:
    together = scores_of(DENOISER, IMAGES, draws=2)
    order = [3, 0, 6, 1]
    permuted = scores_of(DENOISER, IMAGES[order], draws=2)
    twice = scores_of(DENOISER, IMAGES[[2, 2]], draws=2)
    assert twice[0] == twice[1]
    for position, image in enumerate(order):
        alone = scores_of(DENOISER, IMAGES[image : image + 1], draws=2)[0]
        for score in (permuted[position], alone):
            assert score.nfe == together[image].nfe
            assert score.log_px_lower_bound == pytest.approx(
                together[image].log_px_lower_bound, rel=1e-6
            )
    other = scores_of(DENOISER, IMAGES, seed=1, draws=2)
    assert all(
        one.log_px_given_z != two.log_px_given_z for one, two in zip(together, other, strict=True)
    )


def test_draws_share_the_probes_and_nothing_else() -> None:
    columns = score_problem(DENOISER, IMAGES, Adams(probes=3), seed=0, draws=4).columns
    probes = columns.probes.unflatten(0, (7, 4))
    assert (probes == probes[:, :1]).all()
    assert probes[:, 0].unique(dim=0).shape[0] == 7
    assert set(probes.unique().tolist()) == {-1.0, 1.0}
    assert columns.image.unique(dim=0).shape[0] == 28
    fewer = score_problem(DENOISER, IMAGES, Adams(probes=2), seed=0, draws=2).columns
    assert torch.equal(fewer.image, columns.image.unflatten(0, (7, 4))[:, :2].flatten(0, 1))
    assert torch.equal(fewer.probes.unflatten(0, (7, 2))[:, 0], probes[:, 0, :2])


def test_each_image_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    encode = DENOISER.encode

    def counting(x: Tensor) -> Tensor:
        encoded.append(len(x))
        return encode(x)

    monkeypatch.setattr(DENOISER, "encode", counting)
    problem = score_problem(DENOISER, IMAGES, Adams(), seed=0, draws=5)
    assert encoded == [7]
    latent = problem.condition.latent.unflatten(0, (7, 5))
    assert (latent == latent[:, :1]).all()
    assert (latent.sum(-1) == CONFIG.latent_k).all()


def test_the_noise_seed_is_of_the_content() -> None:
    image = torch.arange(6, dtype=torch.uint8).view(1, 2, 3)
    seed = content_seed(7, image)
    assert -(2**63) <= seed < 2**63
    assert seed == content_seed(7, image.clone())
    others = [
        content_seed(8, image),
        content_seed(7, image + 1),
        content_seed(7, image.view(1, 3, 2)),
        content_seed(7, image.view(3, 2, 1)),
    ]
    assert len({seed, *others}) == 5


def density(log_det: Tensor, status: int = RowStatus.DONE) -> LogDensity:
    draws = len(log_det)
    return LogDensity(
        prior=torch.linspace(-3, -2, draws, dtype=torch.float64),
        log_det=log_det,
        trace=fixed_error(log_det),
        dequantization=torch.full((draws,), -4.0, dtype=torch.float64),
        latent=torch.full((draws,), -math.log(10), dtype=torch.float64),
        error=torch.full((draws,), 0.01, dtype=torch.float64),
        nfe=torch.full((draws,), 43),
        status=torch.full((draws,), status, dtype=torch.int8),
    )


def test_a_score_adds_up() -> None:
    log_det = torch.tensor([[1.0, 3.0], [2.0, 2.5], [0.0, 1.0]], dtype=torch.float64)
    score = summarise(CONFIG, density(log_det), Adams())
    weights = np.exp(np.linspace(-3, -2, 3) + log_det.mean(1).numpy() - 4)
    assert score.ok
    assert score.log_px_given_z == pytest.approx(math.log(weights.mean()))
    assert score.latent == pytest.approx(-math.log(10))
    assert score.log_px_lower_bound == pytest.approx(math.log(weights.mean() / 10))
    assert score.bits_per_dim == pytest.approx(-math.log2(weights.mean() / 10) / 6)
    assert score.nfe == 3 * 43
    assert score.ode_error_estimate == pytest.approx(0.01)
    relative = weights.std(ddof=1) / weights.mean() / math.sqrt(3)
    assert score.draw_standard_error == pytest.approx(relative)
    by_draw = log_det.numpy().std(axis=1, ddof=1) / math.sqrt(2)
    assert score.trace_standard_error == pytest.approx(weights / weights.sum() @ by_draw)
    assert score.trace_degrees_of_freedom == 1


def test_the_terms_of_one_draw_add_up_to_the_bound() -> None:
    for score in scores_of(DENOISER, IMAGES):
        terms = (score.prior, score.log_det, score.dequantization, score.latent)
        assert score.log_px_lower_bound == pytest.approx(math.fsum(term or 0.0 for term in terms))


def test_errors_that_were_not_estimated_are_none() -> None:
    score = summarise(CONFIG, density(torch.zeros(1, 1, dtype=torch.float64)), Adams())
    assert (score.trace_standard_error, score.draw_standard_error) == (None, None)


def test_a_failed_row_is_a_reason_and_no_number() -> None:
    good = density(torch.zeros(3, 2, dtype=torch.float64))
    for status in (RowStatus.NOT_FINITE, RowStatus.TOO_MANY_EVALUATIONS, RowStatus.STEP_TOO_SMALL):
        statuses = torch.tensor([RowStatus.DONE, status, RowStatus.DONE], dtype=torch.int8)
        score = summarise(CONFIG, good._replace(status=statuses), Adams())
        assert score == Score(3 * 43, reason=status.reason)
        assert not score.ok
    infinite = good._replace(prior=torch.full((3,), math.inf, dtype=torch.float64))
    assert summarise(CONFIG, infinite, Adams()).reason == RowStatus.NOT_FINITE.reason


def test_a_limit_on_evaluations_ends_in_a_reason() -> None:
    (score,) = scores_of(DENOISER, IMAGES[:1], max_evaluations=8)
    assert (score.nfe, score.reason) == (8, RowStatus.TOO_MANY_EVALUATIONS.reason)


def test_the_exact_trace_is_what_probes_average_to() -> None:
    exact = scores_of(DENOISER, IMAGES[:3], trace="exact", tolerance_nats=1e-3)
    probed = scores_of(DENOISER, IMAGES[:3], probes=64, tolerance_nats=1e-3)
    for one, other in zip(exact, probed, strict=True):
        assert one.log_det is not None
        assert other.log_det is not None
        assert other.trace_standard_error is not None
        assert abs(one.log_det - other.log_det) < 4 * other.trace_standard_error + 0.01


def test_sampled_latents_are_importance_weights() -> None:
    """All draws of one image see other latents, and their weights average to the same total."""
    problem = score_problem(DENOISER, IMAGES[:1], Adams(latent="sampled"), seed=0, draws=400)
    latents = problem.condition.latent
    assert (latents.sum(1) == CONFIG.latent_k).all()
    assert len(latents.unique(dim=0)) > 3
    # Prior over proposal is 1 on average under the proposal.
    weights = problem.columns.latent.exp()
    error = weights.std() / math.sqrt(len(weights))
    assert abs(weights.mean() - 1) < 4 * error
    (one,) = scores_of(DENOISER, IMAGES[:1], draws=8, latent="sampled")
    (other,) = scores_of(DENOISER, IMAGES[:1], draws=8)
    assert one.log_px_lower_bound is not None
    assert other.log_px_lower_bound is not None
    assert one.log_px_lower_bound > other.log_px_lower_bound
    # Of several latents none is the one that an image was given.
    assert one.log_px_given_z is None
