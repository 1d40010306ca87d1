"""The likelihood of an image whose class is not named: the mean over all classes, in nats.

P(v) is the mean of P(v | c) over C classes, each as likely. All of a draw's classes share its
dequantization and probes, so a draw is log-mean-exp over its classes, and draws stay independent.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from models.schema.config import ModelConfig
from models.schema.scores import Score
from models.schema.specs import Adams, Rk45
from models.solvers.base import RowStatus
from models.solvers.flow import LogDensity
from models.solvers.probing import TraceError
from models.work.likelihood import summarise


def summarise_classes(config: ModelConfig, density: LogDensity, spec: Adams | Rk45) -> Score:
    """Return the score of one image from its finished rows, those of all draws of the first class,
    then of the second.

    If a row failed, its status is the reason. Beside the mean, the score has the bound of each
    class, `log_px_given_class`.
    """
    draws = len(density.prior) // config.classes
    given = density.prior + density.log_det.mean(1) + density.dequantization
    given = given.view(config.classes, draws)
    score = summarise(config, _over_classes(density, given), spec)
    if not score.ok:
        return score
    bounds = given.logsumexp(1) - math.log(draws)
    if not bounds.isfinite().all():
        return Score(score.nfe, reason=RowStatus.NOT_FINITE.reason)
    return replace(score, log_px_given_z=None, log_px_given_class=tuple(bounds.tolist()))


def _over_classes(density: LogDensity, given: Tensor) -> LogDensity:
    """Return the densities of draws, each over all classes, of which `given` `[classes, draws]` is
    the log-density.

    With the share s of each class in the mean, every term is its mean under s, and `latent` is
    minus the KL from s to the uniform, so that the terms add up to the logarithm of the mean.
    """
    classes, draws = given.shape
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
        # Classes share their probes, so that their errors are added as if they were equal.
        trace=TraceError(
            mean(density.trace.variance.sqrt()).square(),
            density.trace.freedom.view(classes, draws).amin(0),
        ),
        dequantization=mean(density.dequantization),
        latent=-math.log(classes) - surprise,
        error=mean(density.error),
        nfe=density.nfe.view(classes, draws).sum(0),
        # Every failure is a larger number than DONE.
        status=density.status.view(classes, draws).amax(0),
    )
