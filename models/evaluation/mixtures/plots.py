"""Drawings of the mixture study: distance over evaluations, a slice and a scatter."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from models.evaluation.mixtures.arms import DDPM, METHODS, PAPER, TUNED, rtk_name
from models.evaluation.mixtures.draw import draw
from models.evaluation.mixtures.report import floor
from models.evaluation.mixtures.study import RARE_SEED, Point
from models.evaluation.mixtures.target import Target

matplotlib.use("agg")
DOTS_PER_INCH = 100
PANEL_INCHES = (4.2, 2.7)
SMALL_INCHES = (1.75, 1.9)
FAMILIES = {PAPER: "the paper's five segments", TUNED: "tuned"}
GREYS = dict(zip((*DDPM, "ddim", "dpm-2m"), (":", "-", "-.", "--"), strict=True))
# Accuracy is drawn as its distance from 1, which shows differences near the noise floor.
DISTANCE = "1 - marginal accuracy"
DISTANCES = (0.05, 0.1, 0.2, 0.5)
# The modes at +-60 degrees lie in this slice of the first coordinate.
SLICE = (0.4, 0.6)
SHOWN = (
    *DDPM,
    "dpm-2m",
    rtk_name("mala, Simpson", PAPER),
    rtk_name("uld", TUNED),
    rtk_name("mala, Simpson", TUNED),
)
SHOWN_ROWS, DOTS = 8000, 2500


def curves(points: Sequence[Point], path: Path) -> None:
    """Draw a row for each target and a column for each family of RTK.

    Each panel also shows the other samplers in grey, and the noise floor.
    """
    targets = list(dict.fromkeys(point.target for point in points))
    width, height = PANEL_INCHES
    figure, axes = pyplot.subplots(
        len(targets),
        2,
        figsize=(2 * width + 2.2, len(targets) * height),
        layout="constrained",
        squeeze=False,
        sharey="row",
        sharex=True,
    )
    for target, panels in zip(targets, axes, strict=True):
        for (family, words), axis in zip(FAMILIES.items(), panels, strict=True):
            mine = [point for point in points if point.target == target]
            _curves(axis, mine, family)
            axis.set_title(f"{target}: {words}", fontsize="medium")
        panels[0].set_ylabel(DISTANCE)
    for axis in axes[-1]:
        axis.set_xlabel("network evaluations")
    handles, labels = axes[0][1].get_legend_handles_labels()
    labels = [label.removesuffix(f", {TUNED}") for label in labels]
    figure.legend(handles, labels, loc="outside right upper", frameon=False)
    figure.savefig(path, dpi=DOTS_PER_INCH)
    pyplot.close(figure)


def slices(target: Target, points: Sequence[Point], budget: int, path: Path) -> None:
    """Draw, for some arms at `budget`, a slice of the samples and the samples themselves.

    The upper row shows the second coordinate of the draws whose first lies in a slice, over the
    true density; the lower row shows the first two coordinates.
    """
    here = {p.arm: p for p in points if p.target == target.name and p.budget == budget}
    chosen = [here[arm] for arm in SHOWN if arm in here]
    width, height = SMALL_INCHES
    size = ((len(chosen) + 1) * width, 2 * height)
    figure, axes = pyplot.subplots(
        2, len(chosen) + 1, figsize=size, layout="constrained", sharey="row", squeeze=False
    )
    exact = target.draw(SHOWN_ROWS, RARE_SEED)
    panels = [("exact draws", exact)]
    for point in chosen:
        assert point.spec is not None
        x = draw(target.denoiser(), point.spec, SHOWN_ROWS, RARE_SEED).double()
        panels.append((f"{point.arm.replace(', ', chr(10), 1)}\nNFE {point.evaluations}", x))
    bins = {"bins": 40, "range": (-1.5, 1.5)}
    for (title, x), (above, below) in zip(panels, axes.T, strict=True):
        for sample, style in ((exact, {"color": "0.8"}), (x, {"histtype": "step", "color": "C3"})):
            inside = (sample[:, 0] > SLICE[0]) & (sample[:, 0] < SLICE[1])
            above.hist(sample[inside, 1].numpy(), **bins, **style)
        below.scatter(*x[:DOTS, :2].T.numpy(), s=1.2, alpha=0.35, linewidths=0, color="C0")
        below.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal")
        above.set_title(title, fontsize="small")
    axes[0][0].set_ylabel("draws in the slice")
    figure.suptitle(f"{target.name}: x2 where {SLICE[0]} < x1 < {SLICE[1]}; (x1, x2)", fontsize=10)
    figure.savefig(path, dpi=DOTS_PER_INCH)
    pyplot.close(figure)


def _curves(axis: Axes, points: Sequence[Point], family: str) -> None:
    exact = floor(points, points[0].target).accuracy
    arms: dict[str, dict[str, Any]] = {
        arm: {"color": "0.35", "linestyle": style} for arm, style in GREYS.items()
    }
    for i, method in enumerate(METHODS):
        line = "--" if "exact" in method else "-"
        name = rtk_name(method, family)
        arms[name] = {"color": f"C{i}", "marker": "osD^v"[i], "linestyle": line}
    for arm, style in arms.items():
        mine = [point for point in points if point.arm == arm]
        axis.errorbar(
            [point.evaluations for point in mine],
            [1 - point.accuracy.mean for point in mine],
            [point.accuracy.standard_error or 0.0 for point in mine],
            label=arm,
            linewidth=1.2,
            markersize=3.5,
            capsize=2,
            **style,
        )
    axis.axhline(1 - exact.mean, color="0.7", linewidth=3, zorder=0, label="noise floor")
    axis.set(xscale="log", yscale="log")
    ticks = sorted({point.budget for point in points if point.budget})
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.set_yticks(DISTANCES, [str(tick) for tick in DISTANCES])
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_minor_formatter(NullFormatter())
