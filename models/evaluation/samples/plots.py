"""Pictures of a sweep: its curves, and every sampler side by side."""

from pathlib import Path

import matplotlib
from matplotlib import pyplot

from models.evaluation.samples.drawing import Drawings
from models.evaluation.samples.sweep import RTK, Sweep
from models.files.pictures import grey_levels

matplotlib.use("agg")
FIGURE_INCHES = (9.0, 3.8)
DOTS_PER_INCH = 110
# An unbiased distance may be below zero, so the scale is linear near it.
LINEAR_BELOW = 4e-3
# Error bars at one number of evaluations stand side by side, apart by this factor.
BESIDE = 1.03
SIDE_EVALUATIONS, SIDE = 20, 5
SIDE_INCHES = 1.7


def sweep_curves(found: Sweep, path: Path) -> None:
    """Plot both distances over evaluations to the file `path`: with 95 % intervals, and those of
    real images as a line."""
    figure, axes = pyplot.subplots(1, 2, figsize=FIGURE_INCHES, layout="constrained")
    fields = (("kernel", "kernel distance"), ("frechet", "Fréchet distance"))
    for axis, (field, label), real in zip(axes, fields, found.real, strict=True):
        names = dict.fromkeys(row.solver.name for row in found.rows)
        for place, name in enumerate(names):
            rows = found.of(name)
            at = [row.evaluations * BESIDE ** (place - len(names) / 2) for row in rows]
            distances = [getattr(row, field) for row in rows]
            axis.errorbar(
                at,
                [distance.value for distance in distances],
                [
                    [distance.value - distance.low for distance in distances],
                    [distance.high - distance.value for distance in distances],
                ],
                label=name,
                linestyle="-" if name in RTK else "--",
                linewidth=1,
                capsize=2,
            )
        axis.axhline(real.value, color="0.5", linewidth=0.8, label="real images")
        axis.set(xlabel="evaluations an image", ylabel=label, xscale="log")
        axis.set_yscale("symlog", linthresh=LINEAR_BELOW) if field == "kernel" else axis.set_yscale(
            "log"
        )
        axis.set_ylim(bottom=-LINEAR_BELOW / 2 if field == "kernel" else None)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize="small")
    figure.savefig(path, dpi=DOTS_PER_INCH)
    pyplot.close(figure)


def side_by_side(found: Sweep, drawings: Drawings, path: Path) -> None:
    """Draw the same images by every sampler at about 20 evaluations, to the file `path`."""
    names = dict.fromkeys(row.solver.name for row in found.rows)
    rows = [row for name in names if (row := found.at(SIDE_EVALUATIONS, name)) is not None]
    levels = grey_levels(drawings.denoiser.config.vocabulary)
    size = (SIDE_INCHES * len(rows), SIDE_INCHES + 0.4)
    figure, axes = pyplot.subplots(1, len(rows), figsize=size, layout="constrained", squeeze=False)
    for axis, row in zip(axes[0], rows, strict=True):
        drawn = levels[drawings.draw(row.solver, SIDE**2, found.seed).tokens]
        _, height, width, channels = drawn.shape
        grid = drawn.reshape(SIDE, SIDE, height, width, channels).swapaxes(1, 2)
        axis.imshow(grid.reshape(SIDE * height, SIDE * width, channels).squeeze(), cmap="grey")
        axis.set_title(f"{row.solver.name}\n{row.evaluations}", fontsize="small")
        axis.axis("off")
    figure.savefig(path, dpi=DOTS_PER_INCH)
    pyplot.close(figure)
