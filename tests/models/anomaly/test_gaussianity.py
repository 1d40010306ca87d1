"""Distances from white noise: of the values' distribution, and of their spectrum."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import goodness_of_fit, norm

from models.anomaly.gaussianity import OCTAVES, anderson_darling, spectrum


def test_anderson_and_darling_s_distance() -> None:
    sample = np.random.default_rng(0).standard_normal((3, 40)) * [[1.0], [1.5], [0.2]]
    found = anderson_darling(torch.from_numpy(sample))
    for row, distance in zip(sample, found.tolist(), strict=True):
        known = goodness_of_fit(
            norm, row, known_params={"loc": 0, "scale": 1}, statistic="ad", n_mc_samples=1
        )
        assert distance == pytest.approx(known.statistic)


def test_anderson_and_darling_s_quantile_and_tails() -> None:
    sample = torch.randn(4000, 64, generator=torch.Generator().manual_seed(0))
    exceeded = float((anderson_darling(sample) > 2.492).double().mean())
    assert exceeded == pytest.approx(0.05, abs=0.012)
    for value in (0.0, 1e3, -1e3, 1e6):
        assert anderson_darling(torch.full((1, 64), value)).isfinite().all()


def test_white_noise_has_a_flat_spectrum() -> None:
    noise = torch.randn(200, 3, 28, 20, generator=torch.Generator().manual_seed(0))
    mean = spectrum(noise).mean(0)
    # Frequencies in the lowest octave: 8 of 560, three channels, 200 rows.
    assert mean.tolist() == pytest.approx([1.0] * OCTAVES, abs=4 / math.sqrt(8 * 3 * 200))


@pytest.mark.parametrize(("period", "octave"), [(32, 0), (10.6667, 1), (5.3333, 2), (2, 3)])
def test_a_wave_shows_in_its_octave(period: float, octave: int) -> None:
    down = torch.arange(32, dtype=torch.float64)
    wave = (2 * math.pi * down / period).cos().view(1, 1, 32, 1).expand(1, 1, 32, 32)
    found = spectrum(wave)[0]
    assert found.argmax() == octave
    assert found.sum() == pytest.approx(float(found[octave]), rel=1e-3)


def test_the_octaves_add_up_to_the_mean_square() -> None:
    sample = torch.randn(5, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    shares = torch.tensor([1, 3, 12, 48], dtype=torch.float64) / 64
    total = spectrum(sample) @ shares
    assert torch.allclose(total, sample.double().square().flatten(1).mean(1))


def test_a_row_s_spectrum_is_its_own() -> None:
    sample = torch.randn(7, 1, 28, 28, generator=torch.Generator().manual_seed(2))
    assert torch.equal(spectrum(sample)[3:4], spectrum(sample[3:4]))


def test_octaves_that_a_small_image_lacks_are_even() -> None:
    (found,) = spectrum(torch.full((1, 1, 2, 3), 2.0)).tolist()
    assert found == pytest.approx([1.0, 1.0, 24.0, 0.0])
