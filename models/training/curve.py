"""The curve of a training run, drawn while it goes on. It needs matplotlib."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib import pyplot
from matplotlib.axes import Axes

from models.files.folders import write_atomically

matplotlib.use("agg")
CURVE = "curve.png"
FIGURE_INCHES = (7.0, 3.6)
DOTS_PER_INCH = 110


def training_curve(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draw the negative ELBO of the batches and of the held-out images, and the latent's KL, over
    steps, as a PNG."""
    steps = [entry["step"] for entry in history]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=FIGURE_INCHES, layout="constrained")

    def line(axes: Axes, name: str, label: str) -> None:
        axes.plot(steps, [entry[name] for entry in history], ".-", markersize=3, label=label)

    line(left, "total", "training batches")
    line(left, "held_out", "held out, averaged weights")
    left.set(xlabel="step", ylabel="negative ELBO, bits/dim")
    line(right, "latent", "KL of z to its prior")
    # Manifests of earlier versions lack it.
    if all("information" in entry for entry in history):
        line(right, "information", "what z tells of an image")
    right.set(xlabel="step", ylabel="nats")
    for axes in (left, right):
        axes.legend(frameon=False)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DOTS_PER_INCH)
    pyplot.close(figure)
    write_atomically(path, file.getvalue())
