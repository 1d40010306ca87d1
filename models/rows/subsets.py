"""Distributions over k-subsets with exact probabilities (conditional Bernoulli).

q(S) is proportional to the product of e^logit over the members of S (Chen, Dempster & Liu,
Biometrika 1994). Its sum over all k-subsets is an elementary symmetric polynomial of the e^logits.
"""

import math

import torch
from torch import Tensor


def log_symmetric(logits: Tensor, k: int) -> Tensor:
    """Return the logs of elementary symmetric polynomials of the e^logits, `[n + 1, rows, k + 1]`
    float64.

    Entry [i, :, d] is of degree d, in the e^logits from index i on. `logits` is `[rows, n]`.
    """
    rows, n = logits.shape
    table = torch.full((n + 1, rows, k + 1), -math.inf, dtype=torch.float64, device=logits.device)
    table[n, :, 0] = 0
    for i in reversed(range(n)):
        with_i = logits[:, i, None].double() + table[i + 1, :, :-1]
        table[i, :, 0] = 0
        table[i, :, 1:] = torch.logaddexp(table[i + 1, :, 1:], with_i)
    return table


def log_probability(logits: Tensor, subset: Tensor, k: int) -> Tensor:
    """Return log q of k-hot `subset` `[rows, n]`, `[rows]` float64; 0 where n is 0."""
    return (logits * subset).double().sum(1) - log_symmetric(logits, k)[0, :, k]


def draw_subset(logits: Tensor, k: int, uniforms: Tensor) -> Tensor:
    """Draw k-hot subsets `[rows, n]` by independent `uniforms` `[rows, n]` in (0, 1).

    Members are decided one after another, each with its exact probability given those before.
    """
    rows, n = logits.shape
    table = log_symmetric(logits, k)
    left = torch.full((rows, 1), k, device=logits.device)
    subset = torch.zeros_like(logits)
    for i in range(n):
        without = table[i + 1].gather(1, (left - 1).clamp(min=0))
        chance = (logits[:, i, None].double() + without - table[i].gather(1, left)).exp()
        chosen = (left > 0) & (uniforms[:, i, None] < chance)
        subset[:, i] = chosen[:, 0].to(subset)
        left = left - chosen.long()
    return subset
