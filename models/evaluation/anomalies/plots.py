"""ROC curves and histograms of scores."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot

from models.evaluation.anomalies.evaluate import SCORE
from models.evaluation.anomalies.roc import Scores, curve, measures

matplotlib.use("agg")
LINES = {SCORE: "combination", "log_px_given_z": "raw likelihood", "rarity": "rarity alone"}
PANEL_INCHES = 3.2
DOTS_PER_INCH = 110
BINS = 40
EDGE = 1e-3


def roc_curves(
    normal: Mapping[str, Scores], abnormal: Mapping[str, Mapping[str, Scores]], path: Path
) -> None:
    """Draw a panel for each abnormal set, with the combined score and the raw likelihood."""
    size = (PANEL_INCHES * len(abnormal), PANEL_INCHES + 0.3)
    figure, axes = pyplot.subplots(
        1, len(abnormal), figsize=size, layout="constrained", squeeze=False
    )
    for axis, (name, strange) in zip(axes[0], abnormal.items(), strict=True):
        for statistic, label in LINES.items():
            if statistic not in normal:
                continue
            pair = normal[statistic], strange[statistic]
            axis.plot(*curve(*pair), label=f"{label}, {measures(*pair).auroc:.3f}")
        axis.plot([0, 1], [0, 1], "k:", linewidth=1)
        axis.set(title=name, xlabel="false alarms", ylabel="found")
        axis.legend(frameon=False, loc="lower right", fontsize="small")
    figure.savefig(path, dpi=DOTS_PER_INCH)
    pyplot.close(figure)


def score_histograms(
    normal: Mapping[str, Scores], abnormal: Mapping[str, Mapping[str, Scores]], path: Path
) -> None:
    """Draw the scores of normal images below those of abnormal ones; failed images are left out."""
    sets = {"normal": normal, **abnormal}
    scores = {name: found[SCORE][np.isfinite(found[SCORE])] for name, found in sets.items()}
    present = (
        np.arcsinh(np.concatenate(list(scores.values())))
        if any(map(len, scores.values()))
        else np.zeros(1)
    )
    edges = np.sinh(np.linspace(present.min(), present.max() + EDGE, BINS)).tolist()
    figure, axis = pyplot.subplots(
        figsize=(2.4 * PANEL_INCHES, PANEL_INCHES + 0.4), layout="constrained"
    )
    for name, values in scores.items():
        axis.hist(
            values,
            edges,
            density=False,
            weights=np.full(len(values), 1 / max(1, len(values))),
            histtype="stepfilled" if name == "normal" else "step",
            alpha=0.4 if name == "normal" else 1.0,
            label=name,
        )
    axis.set(xscale="asinh", xlabel="score", ylabel="share of images")
    axis.legend(frameon=False, fontsize="small")
    figure.savefig(path, dpi=DOTS_PER_INCH)
    pyplot.close(figure)
