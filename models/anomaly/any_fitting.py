"""Fitting of whichever calibration a solver's settings ask for."""

from collections.abc import Sequence

from models.anomaly.fitting import fit
from models.anomaly.kept import AnyCalibration
from models.anomaly.level_fitting import Read, defect_calls, fit_levels
from models.anomaly.readings import Reading
from models.anomaly.rows import calls
from models.files.pictures import Bytes
from models.schema.manifest import Manifest
from models.schema.specs import FlowPath, Levels


def fit_calibration(
    manifest: Manifest,
    spec: FlowPath | Levels,
    seed: int,
    density: tuple[Sequence[Reading], Bytes],
    calibration: tuple[Sequence[Reading], Bytes],
    read: Read,
    command: str,
) -> AnyCalibration:
    """Fit a calibration on readings of disjoint images `[N, H, W, C]`.

    By levels, defects are drawn on these images and read by `read`. Raises DataError where too few
    images were solved.
    """
    if isinstance(spec, Levels):
        return fit_levels(manifest, spec, seed, density, calibration, read, command)
    return fit(manifest, spec, seed, density, calibration, command)


def calls_to_fit(images: Sequence[int], spec: FlowPath | Levels) -> int:
    """Return the number of network calls for sets of so many images, drawn defects included."""
    own = sum(calls(count, spec) for count in images)
    return own + (defect_calls(spec) if isinstance(spec, Levels) else 0)
