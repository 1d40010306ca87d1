"""Tests of the end of a path against white noise."""

import torch
from torch import Tensor

OCTAVES = 4


def anderson_darling(sample: Tensor) -> Tensor:
    """Return the statistic A^2 `[rows]` of `sample` `[rows, D]` against the standard normal.

    No parameter is fitted (Anderson & Darling, 1954). A value of about 2.5 exceeds 95 % of those of
    normal samples.
    """
    ordered = sample.double().sort(dim=1).values
    count = ordered.shape[1]
    odd = 2 * torch.arange(count, device=sample.device) + 1
    tails = torch.special.log_ndtr(ordered) + torch.special.log_ndtr(-ordered.flip(1))
    distance: Tensor = -count - (odd * tails).sum(1) / count
    return distance


def spectrum(sample: Tensor) -> Tensor:
    """Return the mean power `[rows, OCTAVES]` of `sample` `[rows, C, H, W]` in octaves of
    frequency.

    The lowest octave is first; white noise of variance 1 has a power of about 1 in each. In order
    of their length the frequencies are cut after a 64th, a 16th, a quarter and all of them. An
    octave that a small image lacks counts as 1. Each row is transformed alone, because a batched
    transform may differ in the last bit.
    """
    height, width = sample.shape[-2:]
    down, across = (torch.fft.fftfreq(n, dtype=torch.float64) for n in (height, width))
    # Rounding makes equal lengths compare as equal, so that the sort keeps their order.
    length = torch.hypot(down[:, None], across).flatten().round(decimals=9)
    order = length.argsort(stable=True).to(sample.device)
    ends = [len(order) // 4**octave for octave in reversed(range(OCTAVES))]
    return torch.stack([_power(row.double(), order, ends) for row in sample])


def _power(row: Tensor, order: Tensor, ends: list[int]) -> Tensor:
    frequencies = torch.fft.fft2(row, norm="ortho").abs().square().mean(0).flatten()[order]
    parts = [frequencies[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return torch.stack([part.mean() if len(part) else row.new_ones(()) for part in parts])
