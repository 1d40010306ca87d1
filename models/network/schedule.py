"""The learned noise schedule: one degree-5 polynomial for each row, pixel and channel."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class NoiseLevel(NamedTuple):
    """Signal and noise scales `[rows, C, H, W]` at one time for each row."""

    gamma: Tensor
    alpha: Tensor
    sigma: Tensor

    @property
    def rho(self) -> Tensor:
        """The noise-to-signal ratio sigma / alpha."""
        return torch.exp(0.5 * self.gamma)


class Schedule(NamedTuple):
    """The schedule gamma(t) = gamma_min + integral of (a u^2 + b u + c)^2 over [0, t].

    `a`, `b` and `c` are `[rows, C, H, W]`, scaled so that the integral over [0, 1] is gamma_max -
    gamma_min; `gamma_min` and `gamma_max` are `[rows]`. Serving keeps them in float64, because
    differences of gamma matter more than gamma (MuLAN, eq. 11).
    """

    a: Tensor
    b: Tensor
    c: Tensor
    gamma_min: Tensor
    gamma_max: Tensor

    @classmethod
    def normalised(
        cls, a: Tensor, b: Tensor, c: Tensor, gamma_min: float, gamma_max: float
    ) -> "Schedule":
        """Scale raw coefficients `[rows, C, H, W]` so that gamma(1) is gamma_max everywhere."""
        rise = torch.stack(integrated(a, b, c)).sum(0)
        scale = torch.sqrt((gamma_max - gamma_min) / rise)
        low, high = (torch.full_like(a[:, 0, 0, 0], end) for end in (gamma_min, gamma_max))
        return cls(a * scale, b * scale, c * scale, low, high)

    def gamma(self, t: Tensor) -> Tensor:
        """Return the log noise-to-signal ratio `[rows, C, H, W]` at times `t` `[rows]` in [0,
        1]."""
        t = per_row(t)
        rise = quartic(integrated(self.a, self.b, self.c), t)
        return per_row(self.gamma_min) + rise * t

    def dgamma_dt(self, t: Tensor) -> Tensor:
        """Return the derivative of gamma by time `[rows, C, H, W]`, which is never negative."""
        t = per_row(t)
        return torch.square((self.a * t + self.b) * t + self.c)

    def noise(self, t: Tensor) -> NoiseLevel:
        """Return gamma, alpha and sigma at times `t` `[rows]`."""
        gamma = self.gamma(t)
        return NoiseLevel(gamma, torch.sigmoid(-gamma).sqrt(), torch.sigmoid(gamma).sqrt())

    def network_time(self, gamma: Tensor) -> Tensor:
        """Return the network's time input s `[rows]` in [0, 1], the normalised mean of `gamma`."""
        span = self.gamma_max - self.gamma_min
        return (gamma.flatten(1).mean(1) - self.gamma_min) / span

    def double(self) -> "Schedule":
        """Return this schedule in float64."""
        return Schedule(*(leaf.double() for leaf in self))


def per_row(column: Tensor) -> Tensor:
    """View a `[rows]` column so that it broadcasts against `[rows, C, H, W]`."""
    return column[:, None, None, None]


def quartic(coefficients: Sequence[Tensor], t: Tensor) -> Tensor:
    """Return the polynomial with five `coefficients`, lowest first, at `t`, by Horner's rule."""
    *lower, value = coefficients
    for coefficient in reversed(lower):
        value = value * t + coefficient
    return value


def integrated(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    """Return the five coefficients, lowest first, of q, where t q(t) is the integral of
    (a u^2 + b u + c)^2 over u in [0, t]."""
    return c * c, b * c, (b * b + 2 * a * c) / 3, a * b / 2, a * a / 5
