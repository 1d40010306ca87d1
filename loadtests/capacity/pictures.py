"""Latency over load, for fleets of several sizes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from loadtests.capacity.cost import Cost
from loadtests.capacity.fleet import fill
from loadtests.capacity.sizing import BUSY, simulate
from loadtests.capacity.traffic import MIXED, mean_work

LOADS = np.linspace(0.1, 0.9, 9)
# Of these kinds, and how they are drawn.
LINES = {"sheet": "-", "long": ":"}
INK, SOFT = "#222222", "#bbbbbb"
SHADES = ("#9ecae1", "#3182bd", "#08306b")


def draw(cost: Cost, fleets: Sequence[int], seconds: float, seed: int, path: Path) -> None:
    """Draw the 95th percentile of waits, and how full ticks are, over rates of requests."""
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    waits, fills = figure.subplots(1, 2)
    for workers, shade in zip(fleets, SHADES, strict=True):
        rates = LOADS * workers * cost.rate() / mean_work(MIXED)
        reports = [simulate(cost, MIXED, rate, workers, seconds, seed) for rate in rates]
        name = f"{workers} worker{'s' if workers > 1 else ''}"
        for kind, line in LINES.items():
            late = [report.percentile(0.95, kind) for report in reports]
            label = f"{kind}, {name}"
            waits.plot(LOADS, late, line, color=shade, marker="o", markersize=3, label=label)
        full = [fill(report) for report in reports]
        fills.plot(LOADS, full, color=shade, marker="o", markersize=3, label=name)
    waits.axvline(BUSY, color=SOFT, linewidth=0.8, linestyle="--")
    fills.axvline(BUSY, color=SOFT, linewidth=0.8, linestyle="--")
    waits.set_yscale("log")
    waits.set_ylabel("95th percentile of latency, s")
    waits.legend(frameon=False, fontsize=8)
    fills.legend(frameon=False, fontsize=8)
    fills.set_ylabel("price of a tick over its limit")
    fills.set_ylim(0, 1.05)
    for axes in (waits, fills):
        axes.set_xlabel("work that comes, over what full ticks do")
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
