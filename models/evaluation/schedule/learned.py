"""The learned noise schedule: how gamma differs between pixels and between latents."""

from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot
from matplotlib.axes import Axes
from numpy.typing import NDArray
from torch import Tensor

from models.evaluation.measurement import EvaluationRecord
from models.evaluation.plots import save
from models.files.images import Tokens
from models.network.encoder import top_k
from models.network.network import Network
from models.network.pixels import tokens_to_data
from models.schema.mulan import MulanConfig

matplotlib.use("agg")
Grid = NDArray[np.float64]
TIMES = 65
SHOWN = 4
COLUMN_INCHES, ROW_INCHES = 1.75, 1.9
HALF = 0.5
# Less than this is rounding.
LEAST_RANGE = 1e-9
GAMMA_HALF = r"$\gamma(1/2)$"


class ScheduleSpread(EvaluationRecord):
    """Mean and standard deviations of gamma at t = 1/2, and how images use the latent.

    `over_pixels` is within one latent's schedule, a mean over latents; `over_latents` is of one
    pixel's gamma between latents, a mean over pixels. Latents are weighted by the number of images
    that choose them. `entropy` is the entropy, in nats, of the latents chosen. `by_patch` is the
    share of the variance between pixels that is explained by a pixel's place in its patch of
    `config.patch` pixels; None where there are no patches, where gamma does not differ between
    pixels, and where it was not measured.
    """

    images: int
    mean: float
    over_pixels: float
    over_latents: float
    latents_used: int
    entropy: float
    by_patch: float | None = None


class LatentUse(NamedTuple):
    """The distinct latents `[m, n]` that images choose, the most frequent first.

    `counts` `[m]` are the numbers of images that choose each, `means` `[m, H, W, C]` the mean
    images in [0, 1].
    """

    latents: Tensor
    counts: NDArray[np.int64]
    means: Grid


@torch.no_grad()
def latent_use(model: Network, images: Tokens, batch: int = 256) -> LatentUse:
    """Return the latents that `images` `[N, H, W, C]` choose."""
    config, device = model.config, model.device
    chosen = []
    for part in torch.split(torch.from_numpy(images), batch):
        x = tokens_to_data(part.permute(0, 3, 1, 2).to(device), config).float()
        chosen.append(top_k(model.encoder(x), config.latent_k))
    latents, member, counts = np.unique(
        torch.cat(chosen).cpu().numpy(), axis=0, return_inverse=True, return_counts=True
    )
    order = np.argsort(-counts, kind="stable")
    grey = images / (config.vocabulary - 1)
    means = np.stack([grey[member.reshape(-1) == index].mean(axis=0) for index in order])
    return LatentUse(torch.from_numpy(latents[order]).to(device), counts[order], means)


@torch.no_grad()
def schedule_spread(model: Network, use: LatentUse) -> ScheduleSpread:
    """Measure how far the learned schedule is from one curve for all pixels and latents."""
    config = model.config
    patch = config.patch if isinstance(config, MulanConfig) else 1
    gamma = _gamma(model, use.latents, HALF)
    weights = use.counts / use.counts.sum()
    mean = mean_gamma(model, use)
    between = np.tensordot(weights, np.square(gamma - mean), axes=1)
    return ScheduleSpread(
        images=int(use.counts.sum()),
        mean=float(mean.mean()),
        over_pixels=float(weights @ gamma.reshape(len(gamma), -1).std(axis=1)),
        over_latents=float(np.sqrt(between).mean()),
        latents_used=len(use.counts),
        entropy=float(-(weights * np.log(weights)).sum()),
        by_patch=by_patch(mean, patch) if varies(mean) and patch > 1 else None,
    )


@torch.no_grad()
def mean_gamma(model: Network, use: LatentUse) -> Grid:
    """Return gamma at t = 1/2, `[C, H, W]`, a mean over the latents that images choose."""
    weights = use.counts / use.counts.sum()
    mean: Grid = np.tensordot(weights, _gamma(model, use.latents, HALF), axes=1)
    return mean


def varies(gamma: Grid) -> bool:
    """Whether gamma `[C, H, W]` differs between pixels or channels."""
    return float(np.ptp(gamma)) > LEAST_RANGE


def by_patch(values: Grid, patch: int) -> float:
    """Return the share of the variance of `values` `[C, H, W]` explained by the place in a patch.

    Patches are `patch` by `patch` pixels.
    """
    places = [
        values[:, row::patch, column::patch] for row in range(patch) for column in range(patch)
    ]
    within = sum(float(np.square(place - place.mean()).sum()) for place in places)
    return 1 - within / float(np.square(values - values.mean()).sum())


@torch.no_grad()
def draw_schedule(model: Network, use: LatentUse, path: Path) -> None:
    """Draw gamma over time, and its values at t = 1/2 for the most frequent latents.

    For each of these latents the figure shows the mean image that chooses it, gamma, and the
    difference of gamma from its mean over latents.
    """
    shown = min(SHOWN, len(use.latents))
    columns = 3 + shown
    figure = pyplot.figure(figsize=(COLUMN_INCHES * columns, 3 * ROW_INCHES), layout="constrained")
    grid = figure.add_gridspec(3, columns)
    _curves(model, use, figure.add_subplot(grid[:, :3]))
    gamma = _gamma(model, use.latents, HALF).mean(axis=1)
    departure = gamma - np.average(gamma, axis=0, weights=use.counts)
    widest = max(float(np.abs(departure[:shown]).max()), 1e-6)
    rows = (
        ("images", _shown(use.means), "gray", (0.0, 1.0)),
        (GAMMA_HALF, gamma, "viridis", (float(gamma[:shown].min()), float(gamma[:shown].max()))),
        (f"{GAMMA_HALF} less mean", departure, "coolwarm", (-widest, widest)),
    )
    for row, (label, pictures, colours, (low, high)) in enumerate(rows):
        axes = [figure.add_subplot(grid[row, 3 + index]) for index in range(shown)]
        for index, axis in enumerate(axes):
            drawn = axis.imshow(pictures[index], cmap=colours, vmin=low, vmax=high)
            axis.set(xticks=[], yticks=[])
            if row == 0:
                ones = ", ".join(str(one) for one in use.latents[index].nonzero()[:, 0].tolist())
                axis.set_title(f"z = {{{ones}}}\n{use.counts[index]} images", fontsize=8)
        axes[0].set_ylabel(label)
        if row:
            figure.colorbar(drawn, ax=axes, shrink=0.8)
    save(figure, path)


def _curves(model: Network, use: LatentUse, axis: Axes) -> None:
    """Draw the departure of gamma from the straight line of a fixed schedule.

    It shows the mean over pixels and latents and the band that holds 90 % of pixels. Without the
    line subtracted, the departure would be too small to see.
    """
    times = np.linspace(0, 1, TIMES)
    weights = use.counts / use.counts.sum()
    gamma = np.stack(
        [np.tensordot(weights, _gamma(model, use.latents, t), axes=1).ravel() for t in times]
    )
    first, last = model.config.gamma_min, model.config.gamma_max
    gamma -= (first + (last - first) * times)[:, None]
    low, high = np.quantile(gamma, [0.05, 0.95], axis=1)
    axis.fill_between(times, low, high, alpha=0.25, label="90 % of pixels")
    axis.plot(times, gamma.mean(axis=1), label="mean")
    axis.axhline(0, color="k", linestyle=":", linewidth=1, label="linear (VDM)")
    line = rf"the line from {first:.1f} to {last:.1f}"
    axis.set(xlabel="t", ylabel=rf"$\gamma(t)$ less {line}")
    axis.legend(frameon=False)


def _shown(means: Grid) -> Grid:
    """Return images `[m, H, W, C]` as colours where they have three channels, else as grey `[m, H,
    W]`."""
    return means if means.shape[-1] == 3 else means.mean(axis=-1)


def _gamma(model: Network, latents: Tensor, t: float) -> Grid:
    """Return gamma(t) `[m, C, H, W]` of each latent."""
    schedule = model.gamma(latents).double()
    times = torch.full((len(latents),), t, dtype=torch.float64, device=latents.device)
    gamma: Grid = schedule.gamma(times).cpu().numpy()
    return gamma
