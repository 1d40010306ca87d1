"""The mixture study drawn: accuracy over evaluations, a slice, a scatter."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib import pyplot
from matplotlib.axes import Axes

from models.evaluation.mixtures.draw import ExactMala, draw
from models.evaluation.mixtures.study import FLOOR, ROWS, Point
from models.evaluation.mixtures.target import Target

matplotlib.use("agg")
DOTS_PER_INCH = 110
PANEL_INCHES = (3.4, 3.0)
SLICE = (0.4, 0.6)
LOOK_AT = 60


def curves(points: Sequence[Point], path: Path) -> None:
    """A row for each target: marginal accuracy and the error of the rarest modes' weights, over
    network evaluations."""
    targets = list(dict.fromkeys(point.target for point in points))
    width, height = PANEL_INCHES
    figure, axes = pyplot.subplots(
        len(targets),
        2,
        figsize=(3.4 * width, len(targets) * height),
        layout="constrained",
        squeeze=False,
    )
    for target, (left, right) in zip(targets, axes, strict=True):
        mine = [point for point in points if point.target == target]
        _curves(left, mine, "accuracy", "marginal accuracy")
        _curves(right, mine, "rare_weight", "relative error of the rarest weights")
        left.set_title(target)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize="small")
    figure.savefig(path, dpi=DOTS_PER_INCH)
    pyplot.close(figure)


def slices(target: Target, points: Sequence[Point], budget: int, path: Path) -> None:
    """For each arm near `budget` evaluations: the second coordinate of the samples whose first is
    in a slice, with exact draws behind; and the first two coordinates."""
    chosen = [p for p in points if p.target == target.name and _near(p, budget)]
    mixture = target.denoiser()
    width, height = PANEL_INCHES
    size = (len(chosen) * width * 0.7, 1.6 * height)
    figure, axes = pyplot.subplots(2, len(chosen), figsize=size, layout="constrained")
    exact = target.draw(ROWS, 0)
    for point, (above, below) in zip(chosen, axes.T, strict=True):
        assert point.spec is not None
        solver = ExactMala(mixture) if "exact" in point.arm else None
        x = draw(mixture, point.spec, ROWS, 0, solver).double()
        for sample, style in ((exact, {"color": "0.8"}), (x, {"histtype": "step", "color": "C0"})):
            inside = (sample[:, 0] > SLICE[0]) & (sample[:, 0] < SLICE[1])
            above.hist(sample[inside, 1].numpy(), bins=60, range=(-1.5, 1.5), density=True, **style)
        below.scatter(*x[:2000, :2].T.numpy(), s=1, alpha=0.4, linewidths=0)
        below.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal")
        above.set_title(f"{point.arm}\n{point.evaluations} evaluations", fontsize="small")
        above.set_yticks([])
    figure.savefig(path, dpi=DOTS_PER_INCH)
    pyplot.close(figure)


def _near(point: Point, budget: int) -> bool:
    return point.spec is not None and 0.75 * budget < point.evaluations <= budget


def _curves(axis: Axes, points: Sequence[Point], field: str, label: str) -> None:
    floor = next(point for point in points if point.arm == FLOOR)
    for arm in dict.fromkeys(point.arm for point in points if point.arm != FLOOR):
        mine = [point for point in points if point.arm == arm]
        axis.errorbar(
            [point.evaluations for point in mine],
            [getattr(point, field).mean for point in mine],
            [getattr(point, field).standard_error or 0.0 for point in mine],
            label=arm,
            linestyle="-" if "tuned" in arm else "--" if "five" in arm else ":",
            linewidth=1,
            capsize=2,
        )
    axis.axhline(getattr(floor, field).mean, color="0.5", linewidth=0.8, label=FLOOR)
    axis.set(xlabel="network evaluations", ylabel=label, xscale="log")
