"""Distances between two sets of images, by the features of a small classifier.

Not the published FID or KID, which are taken in the features of a network trained on ImageNet.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from models.evaluation.measurement import EvaluationRecord

RESAMPLES = 200
QUANTILES = (0.025, 0.975)
# Of the kernel, in median distances: narrow, so that images of one class are compared too.
WIDTH = 0.5


class Distance(EvaluationRecord):
    """A distance, its standard error over the drawn images, and a 95 % interval."""

    value: float
    standard_error: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, resampled: Tensor) -> "Distance":
        """`value`, and the spread of `resampled` about its own mean: a distance between samples is
        larger after resampling, and that is no error of the value's."""
        spread = resampled - resampled.mean()
        low, high = (value + float(spread.quantile(q)) for q in QUANTILES)
        return cls(value=value, standard_error=float(spread.std()), low=low, high=high)

    def __str__(self) -> str:
        return f"{self.value:.4f} ± {self.standard_error:.4f}"


class Reference(NamedTuple):
    """The features of real images `[M, F]`, float64, divided by `scale`: the median distance
    between two of them is then 1."""

    features: Tensor
    scale: Tensor

    @classmethod
    def of(cls, features: Tensor) -> "Reference":
        """Return the reference for features `[M, F]`, scaled here."""
        scale = torch.pdist(features.double()).median()
        return cls(features.double() / scale, scale)

    def kernel_distance(self, drawn: Tensor, seed: int = 0) -> Distance:
        """Squared maximum mean discrepancy, unbiased (Gretton et al., 2012), of features `[N, F]`.

        The kernel is Gaussian, and so bounded: a few outlying images are not most of the sum, as
        under KID's cubic one.
        """
        real, drawn = self.features, drawn.double() / self.scale
        among_real, among_drawn = (_off_diagonal(_kernel(part, part)) for part in (real, drawn))
        across = _kernel(drawn, real).mean(1)
        constant = among_real.sum() / (len(real) * (len(real) - 1))

        def statistic(weights: Tensor) -> Tensor:
            total = weights.sum(1)
            pairs = total.square() - weights.square().sum(1)
            within = ((weights @ among_drawn) * weights).sum(1) / pairs
            return within - 2 * weights @ across / total + constant

        weights = _resamples(len(drawn), seed)
        once = torch.ones(1, len(drawn), dtype=torch.float64)
        return Distance.of(float(statistic(once)), statistic(weights))

    def discrepancy(self, drawn: Tensor) -> Tensor:
        """Return the same squared discrepancy of features `[N, F]`, with a gradient by them."""
        drawn = drawn.double() / self.scale
        return _among(drawn) - 2 * _kernel(drawn, self.features).mean() + _among(self.features)

    def frechet_distance(self, drawn: Tensor, seed: int = 0) -> Distance:
        """Frechet distance between the normal distributions with both sets' moments (Heusel et al.,
        2017, FID), of features `[N, F]`. Too large for few images, by as much for each sampler."""
        drawn = drawn.double() / self.scale
        mean, covariance = _moments(self.features, torch.ones(len(self.features)).double())
        root = _root(covariance)

        def statistic(weights: Tensor) -> float:
            other, spread = _moments(drawn, weights)
            cross = torch.linalg.eigvalsh(root @ spread @ root).clamp(min=0).sqrt().sum()
            gap = (mean - other).square().sum()
            return float(gap + covariance.trace() + spread.trace() - 2 * cross)

        weights = _resamples(len(drawn), seed)
        resampled = torch.tensor([statistic(row) for row in weights], dtype=torch.float64)
        return Distance.of(statistic(torch.ones(len(drawn)).double()), resampled)


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return torch.exp(-(torch.cdist(a, b) / WIDTH).square())


def _among(features: Tensor) -> Tensor:
    """Return the mean kernel of two different rows of `features` `[N, F]`."""
    count = len(features)
    return _off_diagonal(_kernel(features, features)).sum() / (count * (count - 1))


def _off_diagonal(square: Tensor) -> Tensor:
    return square - torch.diag(square.diagonal())


def _resamples(count: int, seed: int) -> Tensor:
    """Return how often each of `count` rows is in each bootstrap sample, `[RESAMPLES, count]`."""
    draws = torch.Generator().manual_seed(seed)
    chosen = torch.randint(count, (RESAMPLES, count), generator=draws)
    once = torch.ones(RESAMPLES, count, dtype=torch.float64)
    return torch.zeros_like(once).scatter_add_(1, chosen, once)


def _moments(features: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    share = weights / weights.sum()
    mean = share @ features
    centred = features - mean
    return mean, (centred * share[:, None]).T @ centred


def _root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = vectors * values.clamp(min=0).sqrt() @ vectors.T
    return root
