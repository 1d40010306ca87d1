"""Training curves of the arms of an ablation, and the schedules that they end with."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from numpy.typing import NDArray

from models.evaluation.plots import save
from models.evaluation.schedule.learned import GAMMA_HALF, Grid, varies
from models.schema.manifest import Manifest

matplotlib.use("agg")
PANEL_INCHES, MAP_INCHES, HEIGHT_INCHES = 4.5, 2.7, 3.8
# Differences above this, in bits/dim, are drawn on a logarithmic scale.
LINEAR_BELOW = 0.01
FIELDS = ("step", "held_out")


def curves(runs: Sequence[Manifest]) -> NDArray[np.float64]:
    """Return steps and held-out negative ELBO with the paper's KL, `[seeds, 2, evaluations]`."""
    histories = [run.training.history for run in runs if run.training]
    return np.array(
        [[[entry[field] for entry in history] for field in FIELDS] for history in histories]
    )


def steps_to_match(runs: Sequence[Manifest], baseline: Sequence[Manifest]) -> int | None:
    """Return the first step at which held-out images were modelled as well as by the baseline at
    its last step, in the mean over seeds; None where there is none."""
    steps, held_out = curves(runs).mean(axis=0)
    reached = held_out <= curves(baseline).mean(axis=0)[1, -1]
    return int(steps[reached.argmax()]) if reached.any() else None


def draw_ablation(
    trained: Mapping[str, Sequence[Manifest]],
    gammas: Mapping[str, Sequence[Grid]],
    baseline: str,
    path: Path,
) -> None:
    """Draw the held-out bits/dim with the paper's KL over steps, their differences from the
    baseline, and the learned gamma at t = 1/2.

    The first panel shows each arm's mean over seeds. The second shows the differences for each
    seed. The maps show `gammas`, a map `[C, H, W]` for each seed, as means over seeds and channels,
    less their own mean.
    """
    learned = {name: maps for name, maps in gammas.items() if varies(maps[0])}
    width = 2 * PANEL_INCHES + len(learned) * MAP_INCHES
    figure, axes = pyplot.subplots(
        1,
        2 + len(learned),
        figsize=(width, HEIGHT_INCHES),
        layout="constrained",
        width_ratios=[PANEL_INCHES] * 2 + [MAP_INCHES] * len(learned),
    )
    _draw_curves({name: curves(runs) for name, runs in trained.items()}, baseline, *axes[:2])
    for axis, (name, maps) in zip(axes[2:], learned.items(), strict=True):
        shown = np.mean(maps, axis=(0, 1))
        drawn = axis.imshow(shown - shown.mean(), cmap="viridis")
        axis.set(xticks=[], yticks=[])
        axis.set_title(f"{name}: {GAMMA_HALF} less mean", fontsize="small")
        figure.colorbar(drawn, ax=axis, shrink=0.7)
    save(figure, path)


def _draw_curves(
    found: Mapping[str, NDArray[np.float64]], baseline: str, left: Axes, right: Axes
) -> None:
    below = found[baseline][:, 1]
    for index, (name, seeds) in enumerate(found.items()):
        colour = f"C{index}"
        steps, held_out = seeds.mean(axis=0)
        left.plot(steps, held_out, color=colour, label=name)
        above = seeds[:, 1] - below
        for seed in above if len(above) > 1 else ():
            right.plot(steps, seed, color=colour, linewidth=0.6, alpha=0.6)
        right.plot(steps, above.mean(axis=0), color=colour)
    left.set(xlabel="step", ylabel="bits/dim of held-out images", yscale="log")
    right.set(xlabel="step", ylabel=f"the same less {baseline}, seed by seed")
    right.set_yscale("symlog", linthresh=LINEAR_BELOW)
    for axis in left.yaxis, right.yaxis:
        axis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_formatter("{x:g}")
    left.legend(frameon=False)
