"""How far the end of a path is from white noise."""

import torch
from torch import Tensor

OCTAVES = 4


def anderson_darling(sample: Tensor) -> Tensor:
    """A^2 `[rows]` of `sample` `[rows, D]` against the standard normal, nothing fitted (Anderson &
    Darling, 1954); about 2.5 exceeds 95 % of normal samples."""
    ordered = sample.double().sort(dim=1).values
    count = ordered.shape[1]
    odd = 2 * torch.arange(count, device=sample.device) + 1
    tails = torch.special.log_ndtr(ordered) + torch.special.log_ndtr(-ordered.flip(1))
    distance: Tensor = -count - (odd * tails).sum(1) / count
    return distance


def spectrum(sample: Tensor) -> Tensor:
    """Mean power `[rows, OCTAVES]` of `sample` `[rows, C, H, W]` by octaves of spatial frequency,
    the lowest first; about 1 each for white noise of variance 1.

    Of the frequencies in order of their length each octave has four times as many as the one below.
    One that a small image lacks counts as 1. Each row goes by itself: a transform of several may
    differ in the last bit.
    """
    height, width = sample.shape[-2:]
    down, across = (torch.fft.fftfreq(n, dtype=torch.float64) for n in (height, width))
    # Rounded, so that equal lengths keep the order of their places.
    length = torch.hypot(down[:, None], across).flatten().round(decimals=9)
    order = length.argsort(stable=True).to(sample.device)
    ends = [len(order) // 4**octave for octave in reversed(range(OCTAVES))]
    return torch.stack([_power(row.double(), order, ends) for row in sample])


def _power(row: Tensor, order: Tensor, ends: list[int]) -> Tensor:
    frequencies = torch.fft.fft2(row, norm="ortho").abs().square().mean(0).flatten()[order]
    parts = [frequencies[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return torch.stack([part.mean() if len(part) else row.new_ones(()) for part in parts])
