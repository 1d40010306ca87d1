"""The exact integrator of underdamped Langevin motion under a frozen gradient."""

from decimal import Decimal, localcontext

import pytest

from models.solvers.rtk_uld import Step

PRODUCTS = [1e-9, 1e-6, 1e-4, 0.003, 0.006, 0.1, 0.49, 0.51, 1.0, 2.0, 20.0, 200.0]


@pytest.mark.parametrize("friction", [1e-3, 2.0, 100.0])
@pytest.mark.parametrize("product", PRODUCTS)
def test_moments_keep_their_digits(friction: float, product: float) -> None:
    """The moments are those of the formulas at 80 digits, for u = 1."""
    h = product / friction
    step = Step.of(friction, h)
    with localcontext() as context:
        context.prec = 80
        gamma, time = Decimal(friction), Decimal(h)
        eta = (-gamma * time).exp()
        glide = (1 - eta) / gamma
        variance_x = 2 / gamma * (time - 2 * glide + (1 - eta * eta) / (2 * gamma))
        covariance, variance_w = (1 - eta) ** 2 / gamma, 1 - eta * eta
        fall = (time - glide) / gamma
    assert step.decay == pytest.approx(float(eta), rel=1e-13)
    assert step.glide == pytest.approx(float(glide), rel=1e-13)
    assert step.fall == pytest.approx(float(fall), rel=1e-13)
    assert step.lean**2 + step.spread**2 == pytest.approx(float(variance_x), rel=1e-12)
    assert step.lean * step.jolt == pytest.approx(float(covariance), rel=1e-13)
    assert step.jolt**2 == pytest.approx(float(variance_w), rel=1e-13)


def test_two_half_steps_without_a_gradient_are_one_whole() -> None:
    """The motion is exact: variances compose, whatever the step."""
    half, whole = Step.of(1.7, 0.4), Step.of(1.7, 0.8)
    assert half.decay**2 == pytest.approx(whole.decay)
    assert half.glide * (1 + half.decay) == pytest.approx(whole.glide)
    x = half.lean**2 + half.spread**2
    covariance, w = half.lean * half.jolt, half.jolt**2
    both = x + (x + 2 * half.glide * covariance + half.glide**2 * w)
    assert both == pytest.approx(whole.lean**2 + whole.spread**2)
