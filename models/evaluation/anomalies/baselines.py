"""Detectors without a network, for comparison: what a few lines of linear algebra see of tiles."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.anomaly.blur import blur
from models.anomaly.covariates import Regression, covariates
from models.anomaly.subspace import Subspace
from models.files.images import Tokens

Scores = NDArray[np.float64]
Maps = NDArray[np.float64]
LEVELS = 256
PATCH, RIDGE = 5, 1e-5
WIDTHS, FEATURES, MEMORY = (0.0, 1.0, 2.0), 24, 4000
CHUNK = 200
# Images from which patches and nearest images are learnt, at most.
LEARNT = 12_000


class Judged(NamedTuple):
    """Scores `[N]` of tiles, and maps `[N, H, W]` where the detector has any."""

    scores: Scores
    maps: Maps | None


Detector = Callable[[Tokens], Judged]


def learn_baselines(tiles: Tokens, seed: int) -> Mapping[str, Detector]:
    """Learn every baseline from good `tiles` `[N, H, W, C]`."""
    dice = np.random.Generator(np.random.PCG64(seed))
    tiles = tiles[np.sort(dice.permutation(len(tiles))[:LEARNT])]
    values = _values(tiles)
    gaussian, memory = _Gaussian(values), _Memory(values, dice)
    subspace = Subspace.fit(values)
    flat = values.reshape(len(values), -1)

    def components(given: Tokens) -> Judged:
        errors = np.square(subspace.residual(_values(given))).mean(-1)
        return Judged(errors.mean((1, 2)), blur(errors, 1.0))

    usual = Regression.fit(
        covariates(tiles, LEVELS), np.log(components(tiles).scores + 1e-9)[:, None]
    )

    def conditional(given: Tokens) -> Judged:
        """Return that error as a factor of what tiles of such brightness and contrast have."""
        expected = usual.expected(covariates(given, LEVELS))[:, 0]
        judged = components(given)
        factor = np.exp(-expected)[:, None, None]
        assert judged.maps is not None
        return Judged(np.log(judged.scores + 1e-9) - expected, judged.maps * factor)

    def nearest(given: Tokens) -> Judged:
        return Judged(_nearest(_values(given).reshape(len(given), -1), flat), None)

    return {
        "PCA": components,
        "PCA, given brightness and contrast": conditional,
        "Gaussian of 5x5 patches": gaussian,
        "nearest tile": nearest,
        "memory of patches": memory,
    }


class _Gaussian:
    """The Mahalanobis distance of patches of 5x5 pixels."""

    def __init__(self, values: Maps) -> None:
        patches = _patches(values[:: max(1, len(values) // 2000)])
        flat = patches.reshape(-1, patches.shape[-1])
        self.mean = flat.mean(0)
        self.precision = np.linalg.inv(np.cov(flat.T) + RIDGE * np.eye(flat.shape[1]))

    def __call__(self, tiles: Tokens) -> Judged:
        values = _values(tiles)
        parts = [_patches(values[place : place + CHUNK]) for place in range(0, len(values), CHUNK)]
        maps = np.concatenate(
            [
                np.square((part - self.mean) @ np.linalg.cholesky(self.precision)).sum(-1)
                for part in parts
            ]
        )
        return Judged(maps.mean((1, 2)), blur(maps, 1.0))


class _Memory:
    """The distance to the nearest of remembered patches, at every second pixel (after PatchCore;
    Roth et al., CVPR 2022), by features that need no trained network: patches of three widths,
    projected onto their components, which are whitened half."""

    def __init__(self, values: Maps, dice: np.random.Generator) -> None:
        some = self._seen(values[:: max(1, len(values) // 2000)])
        flat = some.reshape(-1, some.shape[-1])
        self.mean = flat.mean(0)
        variances, vectors = np.linalg.eigh(np.cov(flat.T))
        self.basis = vectors[:, -FEATURES:] / np.maximum(variances[-FEATURES:], 1e-9) ** 0.25
        chosen = dice.choice(len(flat), min(MEMORY, len(flat)), replace=False)
        self.memory = (flat[chosen] - self.mean) @ self.basis

    def __call__(self, tiles: Tokens) -> Judged:
        values, found = _values(tiles), []
        for place in range(0, len(values), CHUNK):
            seen = (self._seen(values[place : place + CHUNK]) - self.mean) @ self.basis
            distances = _nearest(seen.reshape(-1, seen.shape[-1]), self.memory)
            found.append(distances.reshape(seen.shape[:3]))
        coarse = np.concatenate(found)
        maps = coarse.repeat(2, axis=1).repeat(2, axis=2)[:, : tiles.shape[1], : tiles.shape[2]]
        return Judged(coarse.max((1, 2)), blur(maps, 1.0))

    @staticmethod
    def _seen(values: Maps) -> Maps:
        planes = np.moveaxis(values, -1, 1)
        smooth = [np.moveaxis(blur(planes, width), 1, -1) for width in WIDTHS]
        return np.concatenate([_patches(one)[:, ::2, ::2] for one in smooth], axis=-1)


def _values(tiles: Tokens) -> Maps:
    return tiles.astype(np.float64) / (LEVELS - 1)


def _patches(values: Maps) -> Maps:
    """Return the patch around each pixel of `values` `[N, H, W, C]`, mirrored at the edges, `[N, H,
    W, PATCH * PATCH * C]`."""
    half = PATCH // 2
    wide = np.pad(values, ((0, 0), (half, half), (half, half), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (PATCH, PATCH), axis=(1, 2))
    return windows.reshape(*values.shape[:3], -1)


def _nearest(rows: Maps, memory: Maps) -> Scores:
    """Return the distance `[n]` of each of `rows` `[n, F]` to the nearest of `memory` `[m, F]`."""
    known, found = np.square(memory).sum(1), []
    for place in range(0, len(rows), 2000):
        part = rows[place : place + 2000]
        squares = (known - 2 * part @ memory.T).min(1) + np.square(part).sum(1)
        found.append(np.sqrt(np.maximum(squares, 0)))
    return np.concatenate(found)
