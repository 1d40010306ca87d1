"""A board's panels drawn from what Prometheus has: what Grafana would show, without Grafana."""

import math
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from loadtests.panels import Panel, named
from loadtests.prometheus import Prometheus

# Inches of a cell of Grafana's grid of 24 columns, and of what is left free around a panel.
CELL_W, CELL_H, GAP = 0.85, 0.42, 0.25
COLOURS = {"green": "#2e8b3d", "orange": "#e8871e", "red": "#c4162a"}
STEP_S = 2.0
# More series than these are not told apart.
SHOWN = 8
# More numbers than these do not fit beside each other.
ABREAST = 3
_SUFFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


class Drawn:
    """Pictures of boards between `start` and `end`, in seconds since the epoch."""

    def __init__(self, prometheus: Prometheus, start: float, end: float) -> None:
        self.prometheus, self.start, self.end = prometheus, start, end

    def board(self, panels: list[Panel], path: Path) -> None:
        """Draw all panels of a board into a PNG."""
        height = max(panel.place["y"] + panel.place["h"] for panel in panels)
        size = 24 * CELL_W, height * CELL_H
        figure = plt.figure(figsize=size, facecolor="#f4f5f5")
        for panel in panels:
            self._panel(figure, panel, size)
        figure.savefig(path, dpi=72)
        plt.close(figure)

    def _panel(self, figure: Figure, panel: Panel, size: tuple[float, float]) -> None:
        place = panel.place
        left, width = place["x"] * CELL_W, place["w"] * CELL_W
        top, height = size[1] - place["y"] * CELL_H, place["h"] * CELL_H
        if panel.kind == "row":
            figure.text(0.1 / size[0], (top - height / 2) / size[1], panel.title, fontsize=14)
            return
        axes = figure.add_axes(
            (
                (left + 2.2 * GAP) / size[0],
                (top - height + 1.4 * GAP) / size[1],
                (width - 3.0 * GAP) / size[0],
                (height - 2.8 * GAP) / size[1],
            )
        )
        axes.set_title(panel.title, loc="left", fontsize=10, fontweight="bold", pad=4)
        draw = {"stat": self._numbers, "heatmap": self._heat, "timeseries": self._lines}
        draw[panel.kind](axes, panel)

    def _numbers(self, axes: Axes, panel: Panel) -> None:
        axes.set_axis_off()
        ((expr, legend),) = panel.queries
        found = [(named(legend, labels), value) for labels, value in self.prometheus.now(expr)]
        if not found:
            axes.text(0.5, 0.5, panel.defaults["noValue"], ha="center", va="center", fontsize=15)
        steps = panel.defaults["thresholds"]["steps"]
        columns = len(found) if len(found) <= ABREAST else 2
        for place, (name, value) in enumerate(sorted(found)):
            passed = [step for step in steps if step["value"] is None or value >= step["value"]]
            row, column = divmod(place, columns)
            x, colour = (column + 0.5) / columns, COLOURS[passed[-1]["color"]]
            text = readable(value, panel.unit)
            if columns == len(found):
                axes.text(x, 0.55, text, ha="center", va="center", fontsize=17, color=colour)
                axes.text(x, 0.08, name, ha="center", va="center", fontsize=8)
            else:
                y = 0.7 - 0.22 * row
                axes.text(x, y, f"{name} {text}", ha="center", fontsize=8, color=colour)

    def _lines(self, axes: Axes, panel: Panel) -> None:
        series = [
            (named(legend, labels), np.array(times) - self.start, np.array(values))
            for expr, legend in panel.queries
            for labels, times, values in self.prometheus.over(expr, self.start, self.end, STEP_S)
            if np.isfinite(values).any()
        ]
        series.sort(key=lambda line: -np.max(line[2], where=np.isfinite(line[2]), initial=0))
        if panel.stacked:
            self._stack(axes, series)
        else:
            for name, times, values in series:
                axes.plot(times, values, linewidth=1.2, label=name)
        self._frame(axes, panel)
        if series:
            handles, names = axes.get_legend_handles_labels()
            more = [f"… {len(names) - SHOWN} more"] if len(names) > SHOWN else []
            shown = list(zip(handles, names, strict=True))[:SHOWN]
            axes.legend(
                [handle for handle, _ in shown] + [axes.plot([], [], alpha=0)[0] for _ in more],
                [name for _, name in shown] + more,
                fontsize=7,
                loc="upper left",
                framealpha=0.6,
            )
        else:
            axes.text(0.5, 0.5, "no data", ha="center", va="center", transform=axes.transAxes)

    def _stack(self, axes: Axes, series: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
        grid = np.arange(0, self.end - self.start + STEP_S, STEP_S)
        rows = np.zeros((len(series), len(grid)))
        for row, (_, times, values) in zip(rows, series, strict=True):
            places = np.clip(np.rint(times / STEP_S).astype(int), 0, len(grid) - 1)
            row[places] = np.nan_to_num(values)
        if series:
            axes.stackplot(grid, rows, labels=[name for name, _, _ in series], alpha=0.75)

    def _frame(self, axes: Axes, panel: Panel) -> None:
        """Axes from 0, with thresholds where there is something near them."""
        axes.set_xlim(0, self.end - self.start)
        _, top = axes.get_ylim()
        top = panel.defaults.get("max", 1.1 * top)
        axes.set_ylim(0, top)
        if panel.limits:
            for step in panel.defaults["thresholds"]["steps"]:
                if step["value"] is not None and step["value"] <= top:
                    axes.axhline(step["value"], color=COLOURS[step["color"]], ls="--", lw=1)
        axes.yaxis.set_major_formatter(lambda value, _: readable(value, panel.unit))
        _minutes(axes)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)

    def _heat(self, axes: Axes, panel: Panel) -> None:
        ((expr, _),) = panel.queries
        found = self.prometheus.over(expr, self.start, self.end, STEP_S)
        found.sort(key=lambda series: float(series[0]["le"]))
        bounds = [float(labels["le"]) for labels, _, _ in found]
        grid = np.arange(0, self.end - self.start + STEP_S, STEP_S)
        below = np.zeros((len(found), len(grid)))
        for row, (_, times, values) in zip(below, found, strict=True):
            places = np.clip(np.rint((np.array(times) - self.start) / STEP_S).astype(int), 0, None)
            row[np.minimum(places, len(grid) - 1)] = np.nan_to_num(values)
        counts = np.clip(np.diff(below, axis=0, prepend=0), 0, None)
        if not len(counts):
            axes.text(0.5, 0.5, "no data", ha="center", va="center", transform=axes.transAxes)
            return
        used = np.flatnonzero(counts.sum(axis=1))
        last = max(4, int(used.max()) + 1) if len(used) else len(bounds) - 1
        edges = np.arange(last + 1)
        axes.pcolormesh(
            np.append(grid, grid[-1] + STEP_S), edges, np.sqrt(counts[:last]), cmap="Blues"
        )
        axes.set_yticks(
            edges[1:], [readable(bound, panel.unit) for bound in bounds[:last]], fontsize=7
        )
        axes.set_xlim(0, self.end - self.start)
        _minutes(axes)
        axes.tick_params(axis="x", labelsize=7)


def _minutes(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MultipleLocator(60))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 60:.0f} min")


def readable(value: float, unit: str) -> str:
    """A number as Grafana would write it, more or less."""
    if not math.isfinite(value):
        return str(value)
    match unit:
        case "percentunit":
            return f"{100 * value:.3g} %"
        case "s" if value and abs(value) < 1:
            return f"{1000 * value:.3g} ms"
        case "s":
            return f"{value:.3g} s"
    for size, suffix in _SUFFIXES:
        if abs(value) >= size:
            text = f"{value / size:.3g} {suffix}"
            break
    else:
        text = f"{value:.3g}"
    return text + {"bytes": "B", "reqps": "/s", "ops": "/s"}.get(unit, "")
