"""Fitting of what tells good pixels from pixels of synthetic defects. Only commands need it."""

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from models.anomaly.packed import Packed
from models.anomaly.perceptron import Perceptron

Table = NDArray[np.float64]
Maps = NDArray[np.float64]
Mask = NDArray[np.bool_]
NETWORKS, UNITS, DECAY, EPOCHS, RATE, BATCH = 3, 32, 0.1, 25, 2e-3, 500
# Pixels of defects, and twice as many good ones, at most.
MOST_PIXELS = 20_000
# Of the spread between weights that fit the defects and weights of zero.
SHRINKAGE = 0.01


class Pixels(NamedTuple):
    """Features of pixels of defects and of good pixels, `[pixels, F]` each."""

    defective: Table
    good: Table


def draw_pixels(good: Maps, damaged: Maps, masks: Mask, seed: int) -> Pixels:
    """Draw pixels of `damaged` images under their masks, and as many good pixels twice: once from
    `good` images, once from damaged ones away from the defect. Maps are `[N, H, W, F]`."""
    dice = np.random.Generator(np.random.PCG64(seed))
    defective = damaged[masks]
    count = min(len(defective), MOST_PIXELS)
    away = damaged[~_grown(masks)]
    clean = good.reshape(-1, good.shape[-1])
    parts = [
        part[dice.choice(len(part), count, replace=len(part) < count)]
        for part in (defective, clean, away)
        if len(part)
    ]
    return Pixels(parts[0], np.concatenate(parts[1:]))


def teach(pixels: Pixels, seed: int) -> Perceptron:
    """Fit a perceptron that tells the pixels apart, by cross-entropy.

    It is the mean of several that begin differently, written as one with all their units.
    """
    columns = np.concatenate(pixels)
    labels = np.repeat([1, 0], [len(part) for part in pixels])
    mean, scale = columns.mean(0), np.maximum(columns.std(0), 1e-6)
    standard = (columns - mean) / scale
    fitted = [_network(standard, labels, seed + place) for place in range(NETWORKS)]
    return Perceptron(
        mean=Packed.of(mean),
        scale=Packed.of(scale),
        hidden=Packed.of(np.concatenate([one.coefs_[0] for one in fitted], axis=1)),
        hidden_bias=Packed.of(np.concatenate([one.intercepts_[0] for one in fitted])),
        out=Packed.of(np.concatenate([one.coefs_[1][:, 0] for one in fitted]) / NETWORKS),
        out_bias=float(np.mean([one.intercepts_[1][0] for one in fitted])),
    )


def _network(standard: Table, labels: NDArray[np.int64], seed: int) -> MLPClassifier:
    network = MLPClassifier(
        (UNITS,),
        alpha=DECAY,
        batch_size=min(BATCH, len(standard)),
        learning_rate_init=RATE,
        max_iter=EPOCHS,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # The number of epochs is the regularisation.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return network.fit(standard, labels)


def weigh(strange: Table, good: Table, shrinkage: float = SHRINKAGE) -> Table:
    """Return the weights `[F]`, none negative, by which a weighted sum tells rows of `strange` from
    rows of `good` best: logistic regression with a ridge. Both sets count as much."""
    columns = np.concatenate([strange, good])
    signs = np.repeat([1.0, -1.0], [len(strange), len(good)])
    share = np.repeat([0.5 / len(strange), 0.5 / len(good)], [len(strange), len(good)])
    width = columns.shape[1]

    def loss(given: Table) -> tuple[float, Table]:
        weights, bias = given[:width], given[width]
        margins = signs * (columns @ weights + bias)
        slope = -signs * share / (1 + np.exp(np.clip(margins, -500, 500)))
        value = share @ np.logaddexp(0, -margins) + shrinkage / 2 * weights @ weights
        return float(value), np.append(columns.T @ slope + shrinkage * weights, slope.sum())

    bounds = [(0.0, None)] * width + [(None, None)]
    found = minimize(loss, np.zeros(width + 1), jac=True, bounds=bounds, method="L-BFGS-B")
    weights: Table = found.x[:width]
    return weights


def _grown(masks: Mask) -> Mask:
    """Return masks `[N, H, W]` with one pixel more all round."""
    wide = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(wide, (3, 3), axis=(1, 2))
    grown: Mask = np.max(windows, axis=(-2, -1))
    return grown
