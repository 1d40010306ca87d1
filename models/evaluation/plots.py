"""The form in which drawings of evaluations are saved."""

from pathlib import Path

import matplotlib
from matplotlib import pyplot
from matplotlib.figure import Figure

matplotlib.use("agg")
DOTS_PER_INCH = 110


def save(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG and close it."""
    figure.savefig(path, dpi=DOTS_PER_INCH)
    pyplot.close(figure)
