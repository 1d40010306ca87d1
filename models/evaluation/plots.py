"""Pictures of a checkpoint for its card."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib import pyplot
from matplotlib.figure import Figure

matplotlib.use("agg")
FIGURE_INCHES = (7.0, 3.6)
DOTS_PER_INCH = 110


def training_curve(history: Sequence[dict[str, float]], path: Path) -> None:
    """Draw the negative ELBO of the batches and of the held-out images, and the latent's KL, over
    steps."""
    steps = [entry["step"] for entry in history]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=FIGURE_INCHES, layout="constrained")
    left.plot(steps, [entry["total"] for entry in history], label="training batches")
    left.plot(steps, [entry["held_out"] for entry in history], label="held out, averaged weights")
    left.set(xlabel="step", ylabel="negative ELBO, bits/dim")
    left.legend(frameon=False)
    right.plot(steps, [entry["latent"] for entry in history], label="KL of z to its prior")
    # Manifests of earlier versions lack it.
    if all("information" in entry for entry in history):
        told = [entry["information"] for entry in history]
        right.plot(steps, told, label="what z tells of an image")
    right.set(xlabel="step", ylabel="nats")
    right.legend(frameon=False)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG and close it."""
    figure.savefig(path, dpi=DOTS_PER_INCH)
    pyplot.close(figure)
