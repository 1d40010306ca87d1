"""Drawings of a run: latencies, goodput, and the share of requests in time, cell by cell."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from loadtests.peers.measures import Cell
from loadtests.peers.report import heading
from loadtests.peers.scenarios import FREE
from loadtests.peers.traffic import Scenario

# Ours in blue, the peers in greys and browns.
COLOURS = {
    "ours": "#08519c",
    "ours-redis": "#6baed6",
    "litserve-continuous": "#b35806",
    "litserve-batch": "#fdb863",
    "mosec": "#7f7f7f",
    "fastapi": "#c7c7c7",
}
ROUND = (1.0, 2.0, 5.0)
COLUMNS = 3
INCHES = (4.2, 1.9)
DOTS_PER_INCH = 110
Draw = Callable[[Axes, Sequence[Cell]], None]


def latencies(cells: Sequence[Cell], scenarios: Sequence[Scenario], path: Path) -> None:
    """Draw p50, p95 and p99 of every server in every cell; what was not answered is left out."""
    _draw(
        cells, scenarios, "latency from the intended time: p50, p95 (bar), p99, s", path, _latency
    )


def goodputs(cells: Sequence[Cell], scenarios: Sequence[Scenario], path: Path) -> None:
    """Draw the goodput of every server in every cell, with the share of its requests in time. At
    the free network there is none, because its evaluations take no time."""
    scenarios = [scenario for scenario in scenarios if scenario.name != FREE.name]
    title = "row-evaluations/s of requests in time, and their share of all requests"
    _draw(cells, scenarios, title, path, _goodput)


def _draw(
    cells: Sequence[Cell], scenarios: Sequence[Scenario], title: str, path: Path, draw: Draw
) -> None:
    """Draw one panel for each scenario and load."""
    panels = [
        (heading(scenario, load), here)
        for scenario in scenarios
        for load in scenario.loads
        if (here := [c for c in cells if (c.scenario, c.load) == (scenario.name, load)])
    ]
    if not panels:
        return
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(columns * INCHES[0], rows * INCHES[1] + 0.4), layout="constrained")
    figure.suptitle(title, fontsize=9)
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, (name, here) in zip(grid, panels, strict=False):
        axes.set_title(name, fontsize=8)
        axes.set_yticks(range(len(here)), [cell.server for cell in here], fontsize=7)
        axes.invert_yaxis()
        axes.tick_params(axis="x", labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes, here)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    figure.savefig(path, dpi=DOTS_PER_INCH)


def _latency(axes: Axes, cells: Sequence[Cell]) -> None:
    axes.set_xscale("log")
    seconds = [value for cell in cells for value in (cell.p50, cell.p95, cell.p99)]
    axes.set_xlim(*_round_limits([value for value in seconds if math.isfinite(value)]))
    axes.xaxis.set_major_locator(LogLocator(subs=ROUND))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    for place, cell in enumerate(cells):
        colour = COLOURS.get(cell.server, "black")
        if math.isfinite(cell.p95):
            axes.plot([cell.p50, cell.p95], [place, place], color=colour, linewidth=5, alpha=0.7)
        for value, marker in ((cell.p50, "o"), (cell.p99, "|")):
            if math.isfinite(value):
                axes.plot([value], [place], marker, color=colour, markersize=7)


def _round_limits(values: Sequence[float]) -> tuple[float, float]:
    """Return the closest round numbers around all of the values, a little widened."""
    if not values:
        return 0.1, 1.0
    steps = [digit * 10.0**power for power in range(-4, 5) for digit in ROUND]
    below = [step for step in steps if step <= min(values)]
    above = [step for step in steps if step >= max(values)]
    return max(below, default=steps[0]) / 1.1, min(above, default=steps[-1]) * 1.1


def _goodput(axes: Axes, cells: Sequence[Cell]) -> None:
    for place, cell in enumerate(cells):
        axes.barh(place, cell.goodput, color=COLOURS.get(cell.server, "black"))
        axes.annotate(f" {cell.attainment:.0%}", (cell.goodput, place), fontsize=7, va="center")
    axes.margins(x=0.15)
