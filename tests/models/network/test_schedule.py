"""The polynomial noise schedule: its ends, its slope, and its digits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.network.schedule import Schedule

ENDS = [(-13.3, 5.0), (-7.9, 5.0), (-2.0, 2.0)]
coefficient = st.floats(-20, 20, allow_nan=False)
positive = st.floats(1e-3, 20)


def schedule(a: float, b: float, c: float, ends: tuple[float, float] = ENDS[0]) -> Schedule:
    raw = (torch.full((1, 1, 1, 1), value, dtype=torch.float64) for value in (a, b, c))
    return Schedule.normalised(*raw, *ends)


def random(
    rows: int, ends: tuple[float, float] = ENDS[0], dtype: torch.dtype = torch.float64
) -> Schedule:
    draws = torch.Generator().manual_seed(3)
    a, b, c = torch.randn(3, rows, 3, 4, 4, generator=draws, dtype=dtype)
    return Schedule.normalised(a, b, c.abs() + 0.1, *ends)


def at(t: float, rows: int) -> Tensor:
    return torch.full((rows,), t, dtype=torch.float64)


@given(coefficient, coefficient, positive, st.sampled_from(ENDS))
@settings(max_examples=60, deadline=None)
def test_gamma_goes_up_from_one_end_to_the_other(
    a: float, b: float, c: float, ends: tuple[float, float]
) -> None:
    curve = schedule(a, b, c, ends)
    gammas = torch.cat([curve.gamma(at(i / 200, 1)) for i in range(201)]).flatten()
    assert gammas[0].item() == pytest.approx(ends[0], abs=1e-12)
    assert gammas[-1].item() == pytest.approx(ends[1], abs=1e-9)
    assert (gammas.diff() >= -1e-10).all()


@given(coefficient, coefficient, positive, st.floats(0.01, 0.99))
@settings(max_examples=60, deadline=None)
def test_the_slope_is_the_derivative(a: float, b: float, c: float, t: float) -> None:
    curve, h = schedule(a, b, c), 1e-5
    difference = (curve.gamma(at(t + h, 1)) - curve.gamma(at(t - h, 1))) / (2 * h)
    assert curve.dgamma_dt(at(t, 1)).item() >= 0
    torch.testing.assert_close(curve.dgamma_dt(at(t, 1)), difference, rtol=1e-4, atol=1e-3)


@given(coefficient, coefficient, positive, st.floats(0.1, 10))
@settings(max_examples=30, deadline=None)
def test_only_the_shape_of_the_raw_coefficients_matters(
    a: float, b: float, c: float, scale: float
) -> None:
    t = at(0.37, 1)
    one, other = schedule(a, b, c), schedule(scale * a, scale * b, scale * c)
    torch.testing.assert_close(one.gamma(t), other.gamma(t), rtol=1e-9, atol=1e-9)


def test_a_straight_line() -> None:
    curve = schedule(0, 0, 2.5, (-6.0, 4.0))
    assert curve.gamma(at(0.25, 1)).item() == pytest.approx(-3.5)
    assert curve.dgamma_dt(at(0.9, 1)).item() == pytest.approx(10.0)


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("t", [0.0, 1e-6, 0.3, 1.0])
def test_signal_and_noise_are_complements(ends: tuple[float, float], t: float) -> None:
    noise = random(2, ends).noise(at(t, 2))
    total = noise.alpha.square() + noise.sigma.square()
    torch.testing.assert_close(total, torch.ones_like(total), rtol=1e-14, atol=0)
    torch.testing.assert_close(noise.rho, noise.sigma / noise.alpha, rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.log(noise.rho.square()), noise.gamma, rtol=1e-12, atol=1e-12)


def test_small_noise_keeps_its_digits() -> None:
    """sigma^2 formed as 1 - alpha^2 would keep ten of them at gamma = -13.3."""
    sigma = random(1).noise(at(0, 1)).sigma
    ratio = torch.tensor(-13.3, dtype=torch.float64).exp()
    exact = (ratio / (1 + ratio)).sqrt()
    torch.testing.assert_close(sigma, exact.expand_as(sigma), rtol=1e-14, atol=0)


def test_the_clock_is_where_the_mean_stands() -> None:
    curve = random(4)
    for t, s in ((0.0, 0.0), (1.0, 1.0)):
        network_time = curve.network_time(curve.gamma(at(t, 4)))
        torch.testing.assert_close(network_time, torch.full((4,), s).double(), rtol=0, atol=1e-12)
    gamma = curve.gamma(at(0.4, 4))
    expected = (gamma.mean((1, 2, 3)) + 13.3) / 18.3
    torch.testing.assert_close(curve.network_time(gamma), expected)


def test_rows_have_their_own_curves_and_times() -> None:
    curve, times = random(3), torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    together = curve.gamma(times)
    for row in range(3):
        own = Schedule(*(leaf[row : row + 1] for leaf in curve))
        assert torch.equal(own.gamma(times[row : row + 1])[0], together[row])


def test_double_is_the_same_curve() -> None:
    single = random(2, dtype=torch.float32)
    double = single.double()
    assert all(leaf.dtype == torch.float64 for leaf in double)
    torch.testing.assert_close(double.gamma(at(0.6, 2)).float(), single.gamma(at(0.6, 2).float()))


def diffusion_term(curve: Schedule, places: Tensor, sharpness: float = 1.0) -> float:
    """The diffusion term in nats of equally likely images `places` `[n, 2]`, by quadrature over
    time and noise. The denoiser is the perfect one where `sharpness` is 1."""
    times, time_weights = np.polynomial.legendre.leggauss(120)
    nodes, node_weights = np.polynomial.hermite_e.hermegauss(60)
    noise = torch.cartesian_prod(*[torch.from_numpy(nodes)] * 2)
    share = torch.from_numpy(np.outer(node_weights, node_weights).ravel() / (2 * np.pi))
    total = 0.0
    for time, weight in zip((times + 1) / 2, time_weights / 2, strict=True):
        t = at(float(time), 1)
        level, slope = curve.noise(t), curve.dgamma_dt(t).flatten()
        alpha, sigma = level.alpha.flatten(), level.sigma.flatten()
        x = alpha * places[:, None] + sigma * noise
        distances = ((x[:, :, None] - alpha * places) / sigma).square().sum(-1)
        clean = (-sharpness * distances / 2).softmax(-1) @ places
        error = (noise - (x - alpha * clean) / sigma).square()
        total += float(weight) * 0.5 * float((share @ (error @ slope).T).mean())
    return total


def test_a_schedule_gains_nothing_where_the_denoiser_is_perfect() -> None:
    """The term is then a line integral of a gradient, that of the mutual information (Palomar and
    Verdu, 2006), and depends on the ends alone."""
    ends = -5.0, 4.0
    places = torch.tensor([[0.8, -0.3], [-0.6, 0.5], [0.1, 0.9]], dtype=torch.float64)
    plane = torch.zeros(1, 1, 1, 2, dtype=torch.float64)
    line = Schedule.normalised(plane, plane, plane + 1, *ends)
    late_and_early = plane + torch.tensor([3.0, -3.0]), plane + torch.tensor([0.1, 3.0])
    bent = Schedule.normalised(plane, *late_and_early, *ends)
    assert bent.gamma(at(0.5, 1)).flatten().diff().item() > 4
    perfect, expected = (diffusion_term(curve, places) for curve in (bent, line))
    assert expected > 0.5
    assert perfect == pytest.approx(expected, rel=1e-4)
    worse, otherwise = (diffusion_term(curve, places, sharpness=0.2) for curve in (bent, line))
    assert min(worse, otherwise) > expected
    assert worse != pytest.approx(otherwise, rel=1e-2)
