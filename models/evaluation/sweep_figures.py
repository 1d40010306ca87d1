"""A sweep drawn, and every sampler side by side."""

from pathlib import Path

import matplotlib
from matplotlib import pyplot

from models.evaluation.sweep import Sweep

matplotlib.use("agg")
FIGURE_INCHES = (9.0, 3.8)
DOTS_PER_INCH = 110


def sweep_curves(found: Sweep, path: Path) -> None:
    """Both distances over evaluations, with 95 % intervals; the real images' as a line."""
    figure, axes = pyplot.subplots(1, 2, figsize=FIGURE_INCHES, layout="constrained")
    fields = (("kernel", "kernel distance"), ("frechet", "Fréchet distance"))
    for axis, (field, label), real in zip(axes, fields, found.real, strict=True):
        for name in dict.fromkeys(row.solver.name for row in found.rows):
            rows = found.of(name)
            at = [row.evaluations for row in rows]
            distances = [getattr(row, field) for row in rows]
            axis.errorbar(
                at,
                [distance.value for distance in distances],
                [
                    [distance.value - distance.low for distance in distances],
                    [distance.high - distance.value for distance in distances],
                ],
                label=name,
                linestyle="-" if name.startswith("rtk") else "--",
                linewidth=1,
                capsize=2,
            )
        axis.axhline(real.value, color="0.5", linewidth=0.8, label="real images")
        axis.set(xlabel="evaluations an image", ylabel=label, xscale="log")
        axis.set_yscale("symlog", linthresh=1e-3) if field == "kernel" else axis.set_yscale("log")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize="small")
    figure.savefig(path, dpi=DOTS_PER_INCH)
    pyplot.close(figure)
