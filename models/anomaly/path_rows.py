"""Rows of a path solve for images of pixel tokens, and the readings of the finished rows."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from models.anomaly.gaussianity import anderson_darling, spectrum
from models.anomaly.latents import class_column, latent_mass
from models.anomaly.readings import Reading
from models.network.pixels import tokens_to_data
from models.rows.denoiser import Denoiser
from models.rows.latents import chosen
from models.rows.noise import Stream, rademacher
from models.rows.rows import QUANTUM, NoiseKey, first, pad
from models.schema.specs import FlowPath
from models.solvers.base import Problem, RowStatus, count_column
from models.solvers.path import Columns, Path
from models.solvers.probing import cycle_of
from models.work.likelihood import content_seeds, dequantize


def path_problem(
    denoiser: Denoiser, tokens: Tensor, spec: FlowPath, seed: int | Sequence[int]
) -> Problem[Columns]:
    """Return rows for images `tokens` `[rows, C, H, W]`, uint8. `seed` is the same for all images,
    or has one for each.

    All noise is keyed by (seed, the image's content). The encoder runs once for each image.
    """
    config, device, rows = denoiser.config, tokens.device, len(tokens)
    clean, seeds = tokens_to_data(tokens, config), content_seeds(seed, tokens)
    logits = denoiser.encode(clean.float())
    # What follows is computed without tails, and once for each row.
    clean, seeds, logits = pad((clean, seeds, logits), QUANTUM)
    latent = chosen(config, logits, class_column(spec, seeds))
    key = NoiseKey(seeds, torch.zeros_like(seeds))
    dequantized = dequantize(config, clean, key)
    columns = Columns(
        dequantized.image,
        clean,
        rademacher(key, Stream.PROBE, 0, (spec.probes, *config.chw)),
        count_column(cycle_of(spec.probes) if spec.probing == "fresh" else 0, len(seeds), device),
        dequantized.cost,
        latent_mass(logits, latent),
        count_column(spec.steps, len(seeds), device),
        count_column(spec.fresh, len(seeds), device),
    )
    problem = Problem(key, denoiser.condition(latent), columns)
    return first(problem, rows)


def path_readings(problem: Problem[Columns], path: Path) -> Iterator[Reading]:
    """Yield the reading of each finished row."""
    columns = problem.columns
    measured = {
        "log_px_given_z": path.prior + path.log_det.mean(1) + columns.dequantization,
        "log_prior": path.prior,
        "log_det": path.log_det.mean(1),
        "latent_mass": columns.latent_mass,
        "normality": anderson_darling(path.noise.flatten(1)),
        **_parts("spectrum", spectrum(path.noise)),
        **_parts("path_rate", path.length),
        **_parts("path_curvature", path.bend),
        **_parts("denoising", path.cost),
    }
    table = torch.stack(list(measured.values()), dim=1).tolist()
    maps = path.map.permute(0, 2, 3, 1).float().cpu().numpy()
    ends = zip(table, maps, path.nfe.tolist(), path.status.tolist(), strict=True)
    for values, contribution, nfe, status in ends:
        if status != RowStatus.DONE or not all(map(math.isfinite, values)):
            reason = RowStatus(max(status, RowStatus.NOT_FINITE)).reason
            yield Reading(nfe, reason=reason)
        else:
            yield Reading(nfe, dict(zip(measured, values, strict=True)), contribution)


def _parts(name: str, values: Tensor) -> dict[str, Tensor]:
    return {f"{name}_{part + 1}": column for part, column in enumerate(values.unbind(1))}
