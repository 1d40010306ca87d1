"""The rows, the closed-form step and the terms that solvers of the probability-flow ODE share.

dx̄ = eps dρ with x̄ = x/alpha, ρ = e^(gamma/2), per pixel, over the network's own time s. In this
form the drift's linear part is gone, and with it half of the divergence: the rest,
d log_det/ds = sum of w_i d eps_i/dx_i with w = sigma/2 dgamma/ds, is estimated by probes e as the
sum of (J^T (w e))_i e_i. Pulling back is chosen over pushing forward because it is cheaper: with
two probes 3.2 forward passes on a CPU, against 6.1.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from models.network.schedule import Schedule
from models.rows.rows import Answer, Condition, Moment, Query, whole
from models.solvers.probing import TraceError

# Below this, a difference of gamma within a step is taken for none.
SMALL = 1e-4
# What is nearer to the end than this is the end.
ROUNDING = 1e-12


class Columns(NamedTuple):
    """The dequantized image `[rows, C, H, W]` in data units, float64; the trace's probes
    `[rows, probes, C, H, W]`, the number of points after which they are renewed (`probing`), 0 for
    never, and the number of the `solve`, since each solve of one draw renews them otherwise; minus
    the log-density of the dequantization noise; the latent's log prior less its log-probability
    under the proposal; and the spec, with the factors of the error that x shows and of the whole
    estimate of the ODE's error. Rows share a lane where their number of probes agrees."""

    image: Tensor
    probes: Tensor
    cycle: Tensor
    solve: Tensor
    dequantization: Tensor
    latent: Tensor
    tolerance: Tensor
    max_evaluations: Tensor
    x_scale: Tensor
    error_scale: Tensor
    steps: Tensor


class LogDensity(NamedTuple):
    """The terms of the rows' log-density, in nats; `log_det` is `[rows, probes]`, all others
    `[rows]`.

    log N(x_1; 0, I) + log |det dx_1/dx_0| + dequantization bounds log P(tokens | z) from below,
    with latent added log P(tokens). `trace` is the error of the mean of log_det over the probes.
    """

    prior: Tensor
    log_det: Tensor
    trace: TraceError
    dequantization: Tensor
    latent: Tensor
    error: Tensor
    nfe: Tensor
    status: Tensor


def question(
    condition: Condition, at: Moment, x: Tensor, probes: Tensor, dtype: torch.dtype
) -> Query:
    """Return the question about the network at x̄ `[rows, C, H, W]` and a moment, and about each
    probe pulled back."""
    weight = 0.5 * condition.dgamma_ds(at.t) * at.noise.sigma
    cotangents = weight[:, None] * probes
    return Query((at.noise.alpha * x).to(dtype), at.t, cotangents.to(dtype), at.noise)


def moment(condition: Condition, s: Tensor) -> Moment:
    """Return the moment at which the network's time is `s` `[rows]`."""
    return condition.moment(condition.network_time.t(s))


def divergence(answer: Answer, probes: Tensor) -> Tensor:
    """Return the derivative d log_det/ds by each probe, `[rows, probes]`, from the answer to a
    `question`."""
    assert answer.vjps is not None
    return (answer.vjps.double() * probes).flatten(2).sum(2)


def advance(s: Tensor, step: Tensor) -> Tensor:
    """Return the end of a step from `s`, `[rows]`; at the end of the way it is exactly 1."""
    there = s + step
    return torch.where(there > 1 - ROUNDING, 1.0, there)


def within(step: Tensor, s: Tensor) -> Tensor:
    """Return the length of a `step` from `s`, `[rows]`, cut off at the end of the way."""
    left = 1 - s
    return torch.where(step > left - ROUNDING, left, step)


def line(eps: Tensor, change: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """Return the integral of e dρ `[rows, C, H, W]` from gamma `here` to gamma `there`. There e is
    `eps` at `here` and gains `change` over the step at even pace while gamma rises evenly."""
    half = 0.5 * (there - here)
    # The mean of ρ over the step, in units of ρ here: (e^half - 1) / half.
    flat = half < SMALL
    mean = torch.where(flat, 1 + half / 2, half.expm1() / half.where(~flat, torch.ones_like(half)))
    return torch.exp(0.5 * here) * (half.expm1() * eps + (half.exp() - mean) * change)


def end(schedule: Schedule, x: Tensor, log_det: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x at t = 1 of x̄ there, its log-density under N(0, I) `[rows]`, and the whole log-det
    `[rows, probes]` of x_0 -> x_1 from that of x̄."""
    noise = schedule.noise(torch.ones_like(schedule.gamma_max)).alpha * x
    dimensions = noise[0].numel()
    prior = -0.5 * (noise.flatten(1).square().sum(1) + dimensions * math.log(2 * math.pi))
    high, low = (whole(softplus, end) for end in (schedule.gamma_max, schedule.gamma_min))
    shrinking = high - low
    return noise, prior, log_det - 0.5 * dimensions * shrinking[:, None]
