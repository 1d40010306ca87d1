"""Fitting of calibrations, which the commands need and the service does not."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from models.anomaly.calibration import Calibration
from models.anomaly.density import Component, Density
from models.anomaly.ranked import FEWEST, Preprocessing, Source
from models.anomaly.readings import Reading
from models.anomaly.statistics import FITTED, table, with_codec
from models.files.pictures import Bytes
from models.schema.errors import DataError
from models.schema.manifest import Manifest
from models.schema.specs import FlowPath

# In the cases tried, two components separated better than one. More would need more images.
COMPONENTS = 2
# Added to the variances of the standardised statistics, because several are nearly dependent.
RIDGE = 0.01
STARTS, ITERATIONS = 2, 1000
_FLAT = 1e-9


def fit(
    manifest: Manifest,
    solver: FlowPath,
    seed: int,
    density: tuple[Sequence[Reading], Bytes],
    calibration: tuple[Sequence[Reading], Bytes],
    command: str,
) -> Calibration:
    """Fit a calibration on readings of disjoint images `[N, H, W, C]`.

    Raises DataError where too few images were solved.
    """
    solved = []
    for name, (readings, images) in (("density", density), ("calibration", calibration)):
        rows = [
            with_codec(reading.values, image)
            for reading, image in zip(readings, images, strict=True)
            if reading.values is not None
        ]
        require(name, len(rows))
        solved.append(rows)
    fitted = fit_density(FITTED, table(solved[0], FITTED), seed)
    sources = (
        source(images, len(rows))
        for (_, images), rows in zip((density, calibration), solved, strict=True)
    )
    return Calibration(
        checkpoint=manifest.sha256,
        solver=solver,
        seed=seed,
        preprocessing=Preprocessing.of(manifest.config),
        density_images=next(sources),
        calibration_images=next(sources),
        mean_nll=-float(np.mean([row["log_px_given_z"] for row in solved[0]])),
        density=fitted,
        scores=tuple(np.sort(fitted.score(table(solved[1], FITTED))).tolist()),
        command=command,
    )


def fit_density(names: Sequence[str], values: NDArray[np.float64], seed: int) -> Density:
    """Fit a density by expectation maximisation on statistics `values` `[rows, names]`."""
    mean, spread = values.mean(0), values.std(0)
    scale = np.where(spread > _FLAT * np.maximum(1, np.abs(mean)), spread, 1.0)
    mixture = GaussianMixture(
        COMPONENTS, reg_covar=RIDGE, random_state=seed, n_init=STARTS, max_iter=ITERATIONS
    ).fit((values - mean) / scale)
    parts = zip(mixture.weights_, mixture.means_, mixture.precisions_cholesky_, strict=True)
    return Density(
        names=tuple(names),
        mean=tuple(mean.tolist()),
        scale=tuple(scale.tolist()),
        components=tuple(
            Component(
                log_weight=float(np.log(weight)),
                mean=tuple(centre.tolist()),
                whitening=tuple(tuple(row) for row in whitening.tolist()),
            )
            for weight, centre, whitening in parts
        ),
    )


def source(images: Bytes, solved: int) -> Source:
    """Return the record of a set of images, of which `solved` were solved."""
    digest = hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()
    return Source(images=len(images), failed=len(images) - solved, sha256=digest)


def require(part: str, solved: int) -> None:
    """Raise DataError where fewer images of a part were solved than a calibration needs."""
    if solved < FEWEST:
        raise DataError(f"{solved} {part} images were solved; at least {FEWEST} are needed")
