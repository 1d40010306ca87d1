"""The likelihood of an image whose class is not named: the mean over all classes, in nats.

P(v) is the mean of P(v | c) over C classes, each as likely. All of a draw's classes share its
dequantization and probes, so a draw is log-mean-exp over its classes, and draws stay independent.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from models.rows.rows import take
from models.schema.config import ModelConfig
from models.schema.scores import Score
from models.schema.specs import Adams, Rk45
from models.solvers.flow import LogDensity
from models.work.likelihood import summarise


def summarise_classes(config: ModelConfig, density: LogDensity, spec: Adams | Rk45) -> Score:
    """Return the score of one image from its finished rows, those of all draws of the first class,
    then of the second.

    If a row failed, its status is the reason. Beside the mean, the score has the bound of each
    class, `log_px_given_class`.
    """
    draws = len(density.prior) // config.classes
    score = summarise(config, _over_classes(density, config.classes, draws), spec)
    if not score.ok:
        return score
    each = [
        summarise(config, take(density, torch.arange(first, first + draws)), spec)
        for first in range(0, len(density.prior), draws)
    ]
    bounds = [one.log_px_lower_bound for one in each if one.log_px_lower_bound is not None]
    return replace(score, log_px_given_z=None, log_px_given_class=tuple(bounds))


def _over_classes(density: LogDensity, classes: int, draws: int) -> LogDensity:
    """Return the densities of `draws` draws, each over all classes.

    With the share s of each class in the mean, every term is its mean under s, and `latent` is
    minus the KL from s to the uniform, so that the terms add up to the logarithm of the mean.
    """
    given = (density.prior + density.log_det.mean(1) + density.dequantization).view(classes, draws)
    log_share = given.log_softmax(0)
    share = log_share.exp()

    def mean(term: Tensor) -> Tensor:
        parts = term.view(classes, draws, *term.shape[1:])
        weights = share.view(classes, draws, *[1] * (term.ndim - 1))
        return (weights * parts).sum(0)

    # 0 log 0 is 0.
    surprise = torch.where(share > 0, share * log_share, 0.0).sum(0)
    return LogDensity(
        prior=mean(density.prior),
        log_det=mean(density.log_det),
        dequantization=mean(density.dequantization),
        latent=-math.log(classes) - surprise,
        error=mean(density.error),
        nfe=density.nfe.view(classes, draws).sum(0),
        # Every failure is a larger number than DONE.
        status=density.status.view(classes, draws).amax(0),
    )
