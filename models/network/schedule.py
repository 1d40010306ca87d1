"""The learned noise schedule: one degree-5 polynomial for each row, pixel and channel."""

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
        scale = torch.sqrt((gamma_max - gamma_min) / _integral(a, b, c, 1.0))
        low, high = (torch.full_like(a[:, 0, 0, 0], end) for end in (gamma_min, gamma_max))
        return cls(a * scale, b * scale, c * scale, low, high)

    def gamma(self, t: Tensor) -> Tensor:
        """Return the log noise-to-signal ratio `[rows, C, H, W]` at times `t` `[rows]` in [0,
        1]."""
        return per_row(self.gamma_min) + _integral(self.a, self.b, self.c, per_row(t))

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


def _integral(a: Tensor, b: Tensor, c: Tensor, t: Tensor | float) -> Tensor:
    """Return the integral of (a u^2 + b u + c)^2 over u in [0, t]."""
    fifth, fourth, third, second = a * a / 5, a * b / 2, (b * b + 2 * a * c) / 3, b * c
    return ((((fifth * t + fourth) * t + third) * t + second) * t + c * c) * t
