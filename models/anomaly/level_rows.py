"""Rows of a solve by levels for images of pixel tokens, and the readings of the finished rows."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from models.anomaly.latents import class_column, latent_mass
from models.anomaly.readings import Reading
from models.network.pixels import tokens_to_data
from models.rows.denoiser import Denoiser
from models.rows.latents import chosen
from models.rows.rows import QUANTUM, NoiseKey, first, pad
from models.schema.specs import Levels
from models.solvers.base import Problem, RowStatus, count_column
from models.solvers.levels import Columns, Scores
from models.work.likelihood import content_seeds


def levels_problem(
    denoiser: Denoiser, tokens: Tensor, spec: Levels, seed: int | Sequence[int]
) -> Problem[Columns]:
    """Return rows for images `tokens` `[rows, C, H, W]`, uint8. No noise is drawn, so that `seed`
    changes nothing. The encoder runs once for each image."""
    config = denoiser.config
    clean, seeds = tokens_to_data(tokens, config), content_seeds(seed, tokens)
    logits = denoiser.encode(clean.float())
    # What follows is computed without tails, and once for each row.
    padded, seeds, logits = pad((clean, seeds, logits), QUANTUM)
    latent = chosen(config, logits, class_column(spec, seeds))
    count = count_column(spec.levels, len(seeds), tokens.device)
    columns = Columns(padded, latent_mass(logits, latent), count)
    key = NoiseKey(seeds, torch.zeros_like(seeds))
    return first(Problem(key, denoiser.condition(latent), columns), len(clean))


def level_readings(problem: Problem[Columns], scores: Scores) -> Iterator[Reading]:
    """Yield the reading of each finished row."""
    counts, masses = problem.columns.levels.tolist(), problem.columns.latent_mass.tolist()
    # Half precision is enough, and what a job's result carries to where the verdict is made.
    maps = scores.maps.permute(0, 1, 3, 4, 2).half().cpu().numpy()
    ends = zip(maps, masses, counts, scores.nfe.tolist(), scores.status.tolist(), strict=True)
    for levels, mass, count, nfe, status in ends:
        if status != RowStatus.DONE or not math.isfinite(mass):
            reason = RowStatus(max(status, RowStatus.NOT_FINITE)).reason
            yield Reading(nfe, reason=reason)
        else:
            found = levels[:count]
            means = np.square(found.astype(np.float64)).mean(axis=(1, 2, 3)).tolist()
            values = {"latent_mass": mass}
            values |= {f"level_{level + 1}": mean for level, mean in enumerate(means)}
            yield Reading(nfe, values, levels=found)
