"""Drawings of the errors of ODE solvers over their evaluations."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib import pyplot
from matplotlib.ticker import NullFormatter

from models.evaluation.ode.error import ACHIEVED, OdeCurves
from models.evaluation.plots import save

matplotlib.use("agg")
PANEL_INCHES = (3.6, 3.4)
TICKS = (20, 50, 100, 200, 500, 1000)


def ode_figure(found: Sequence[OdeCurves], path: Path) -> None:
    """Draw a panel for each checkpoint and a line for each solver."""
    width, height = PANEL_INCHES
    figure, axes = pyplot.subplots(
        1, len(found), figsize=(width * len(found), height), layout="constrained", squeeze=False
    )
    for axis, curves in zip(axes[0], found, strict=True):
        for name in dict.fromkeys(point.solver for point in curves.points):
            points = curves.of(name)
            axis.plot(
                [point.evaluations for point in points],
                [point.error for point in points],
                marker="o",
                markersize=3,
                label=name,
            )
        for error in ACHIEVED:
            axis.axhline(error, color="0.8", linewidth=0.8, zorder=0)
        axis.set(xscale="log", yscale="log", xlabel="evaluations an image", title=curves.name)
        axis.set_xticks(TICKS, [str(tick) for tick in TICKS])
        axis.xaxis.set_minor_formatter(NullFormatter())
    axes[0][0].set_ylabel("error of log p, nats (root mean square)")
    axes[0][0].legend(frameon=False, fontsize="small")
    save(figure, path)
