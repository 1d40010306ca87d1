"""The latent: its choice, its noise in training, its price."""

import math

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import gumbel_r, kstest

from models.network.encoder import (
    GAMMA_TERMS,
    categorical_kl,
    mutual_information,
    official_noise,
    relaxed_top_k,
    sum_of_gamma,
    top_k,
)
from models.network.network import NoEncoder

DRAWS = 20_000

logits_arrays = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 5), st.integers(2, 12)),
    # Few values, so that ties abound.
    elements=st.integers(-3, 3).map(float),
)


def gammas(k, rows, n=1, seed=0):
    draws = np.random.default_rng(seed).gamma(1 / k, size=(GAMMA_TERMS, rows, n))
    return torch.from_numpy(draws)


@given(logits_arrays, st.data())
def test_top_k_is_exact_and_ties_go_to_the_lower_index(logits, data):
    k = data.draw(st.integers(1, logits.shape[1] - 1))
    latent = top_k(torch.from_numpy(logits), k).numpy()
    for row, chosen in zip(logits, latent, strict=True):
        by_value_then_index = sorted(range(len(row)), key=lambda i: (-row[i], i))
        assert set(np.flatnonzero(chosen)) == set(by_value_then_index[:k])
        assert sorted(set(chosen)) == [0.0, 1.0]


def test_straight_through():
    logits = torch.randn(4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits.requires_grad_()
    relaxed, weights = relaxed_top_k(logits, 2), torch.arange(9.0, dtype=torch.float64)
    torch.testing.assert_close(relaxed.detach(), top_k(logits.detach(), 2))
    (gradient,) = torch.autograd.grad((relaxed * weights).sum(), logits)
    assert torch.equal(gradient, weights.expand(4, 9))


@pytest.mark.parametrize("k", [1, 3, 15])
def test_k_noises_add_up_to_the_largest_of_ten_exponentials(k):
    """Exactly: sum over j of Gamma(1/k) k / (k j), k times over, is sum of Exp(1) / j."""
    total = sum_of_gamma(gammas(k, DRAWS, k), k).sum(1)

    def cumulative(x):
        return np.clip(1 - np.exp(-x) / GAMMA_TERMS, 0, 1) ** GAMMA_TERMS

    assert kstest(total, cumulative).pvalue > 0.01


def test_one_noise_is_nearly_gumbel():
    """Ten terms leave a distance of max |(1 - u/10)^10 - e^-u|, 0.028."""
    noise = sum_of_gamma(gammas(1, DRAWS), 1)[:, 0]
    u = np.linspace(0, 10, 10_001)
    truncation = np.abs((1 - u / 10) ** 10 - np.exp(-u)).max()
    distance = kstest(noise, gumbel_r.cdf).statistic
    assert truncation == pytest.approx(0.028, abs=1e-3)
    assert distance == pytest.approx(truncation, abs=1.63 / math.sqrt(DRAWS))


def test_perturbed_choice_follows_the_softmax():
    logits = torch.tensor([1.0, 0.0, -1.0, 0.5], dtype=torch.float64)
    noisy = logits + sum_of_gamma(gammas(1, DRAWS, 4), 1)
    frequency = top_k(noisy, 1).mean(0)
    torch.testing.assert_close(frequency, logits.softmax(0), rtol=0, atol=0.02)


@pytest.mark.parametrize(("k", "spread"), [(15, 0.225), (1, 196.2)])
def test_the_released_noise_drowns_the_logits_of_a_one_hot_latent(k, spread):
    noise = official_noise(gammas(k, DRAWS), k)
    assert noise.std().item() == pytest.approx(spread, rel=0.1)


@given(
    arrays.arrays(
        np.float64,
        st.tuples(st.integers(1, 6), st.integers(2, 9)),
        elements=st.floats(-200, 200),
    )
)
def test_the_price_is_bounded(logits):
    """0 <= KL <= log n, for logits however extreme."""
    batch = torch.from_numpy(logits)
    each = categorical_kl(batch)
    assert each.min().item() >= -1e-9
    assert each.max().item() <= math.log(batch.shape[1]) + 1e-9


def test_prices_at_the_ends():
    assert categorical_kl(torch.zeros(1, 8)).item() == pytest.approx(0, abs=1e-6)
    sure = 200 * torch.eye(8)
    torch.testing.assert_close(categorical_kl(sure), torch.full((8,), math.log(8)))


@given(logits_arrays)
def test_the_latent_term_is_what_z_tells_and_what_it_leaves_the_prior_by(logits):
    logits = torch.from_numpy(logits)
    mean = logits.softmax(dim=1).mean(0)
    to_prior = (mean * (mean * len(mean)).log()).sum()
    told = mutual_information(logits)
    torch.testing.assert_close(categorical_kl(logits).mean(), told + to_prior)
    assert -1e-12 <= told <= math.log(min(logits.shape)) + 1e-12


def test_what_z_tells_at_its_extremes():
    certain, same = 50 * torch.eye(6, dtype=torch.float64), torch.ones(6, 4, dtype=torch.float64)
    assert mutual_information(certain).item() == pytest.approx(math.log(6))
    assert mutual_information(same).item() == pytest.approx(0, abs=1e-12)


def test_no_latent_costs_and_tells_nothing():
    logits = NoEncoder()(torch.ones(3, 1, 4, 4))
    assert logits.shape == (3, 0)
    assert torch.equal(categorical_kl(logits), torch.zeros(3))
    assert mutual_information(logits).item() == 0
    assert top_k(logits, 0).shape == (3, 0)


def test_one_latent_is_always_the_same_and_costs_and_tells_nothing():
    logits = NoEncoder(1)(torch.ones(3, 1, 4, 4))
    assert logits.shape == (3, 1)
    assert torch.equal(categorical_kl(logits), torch.zeros(3))
    assert mutual_information(logits).item() == 0
    assert torch.equal(top_k(logits, 1), torch.ones(3, 1))
