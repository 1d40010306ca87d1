"""Fitting of a detector by levels, which the commands need and the service does not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from models.anomaly.conformal import FAILED
from models.anomaly.covariates import brightness
from models.anomaly.defects import Defects, make_defects
from models.anomaly.fitting import fit_density, require, source
from models.anomaly.heat_fitting import fit_heat
from models.anomaly.level_calibration import LevelCalibration, Scale
from models.anomaly.maps import Seen, features
from models.anomaly.parts import (
    PARTS,
    WEIGHTS,
    Detector,
    levels_of,
    statistic_names,
    statistics,
)
from models.anomaly.power import check_power
from models.anomaly.ranked import Preprocessing
from models.anomaly.readings import Reading
from models.anomaly.regions import Peaks
from models.anomaly.rows import calls
from models.anomaly.subspace import Subspace
from models.anomaly.tails import Tails
from models.anomaly.teaching import draw_pixels, teach
from models.files.pictures import Bytes
from models.schema.manifest import Manifest
from models.schema.specs import Levels

Read = Callable[[Bytes], Sequence[Reading]]
# The share of the density images that nothing but the tails of the parts is fitted on.
HELD_BACK = 1 / 3
# Defects that are drawn to teach the detector, and for the power check.
TAUGHT, CHECKED = 600, 300
# Pixels of all images that are looked at to teach, at most, so that they fit into memory.
MOST_PIXELS = 1 << 20
WHITE = 0.999


def defect_calls(spec: Levels) -> int:
    """Return the number of network calls that the defects of a calibration take."""
    return sum(calls(count, spec) for count in (TAUGHT, CHECKED))


@dataclass(frozen=True)
class Solved:
    """Images `[N, H, W, C]` that were solved, with their readings."""

    readings: Sequence[Reading]
    images: Bytes

    @classmethod
    def of(cls, readings: Sequence[Reading], images: Bytes) -> "Solved":
        """Return those images that were solved."""
        kept = [place for place, reading in enumerate(readings) if reading.levels is not None]
        return cls([readings[place] for place in kept], images[kept])

    @property
    def seen(self) -> Seen:
        """The images with their levels."""
        return Seen(self.images, levels_of(self.readings))

    def __getitem__(self, part: slice) -> "Solved":
        return Solved(self.readings[part], self.images[part])


class Drawn(NamedTuple):
    """Defects and their readings, all of which were solved."""

    defects: Defects
    solved: Solved


def draw(images: Bytes, count: int, vocabulary: int, seed: int, read: Read) -> Drawn:
    """Draw `count` defects on `images` and read them; those that could not be solved are left
    out."""
    defects = make_defects(images, count, vocabulary, seed)
    readings = read(defects.images)
    kept = [place for place, one in enumerate(readings) if one.levels is not None]
    solved = Solved.of(readings, defects.images)
    kinds = tuple(defects.kinds[place] for place in kept)
    left = Defects(solved.images, defects.masks[kept], kinds, defects.origins[kept])
    return Drawn(left, solved)


def fit_levels(
    manifest: Manifest,
    spec: Levels,
    seed: int,
    density: tuple[Sequence[Reading], Bytes],
    calibration: tuple[Sequence[Reading], Bytes],
    read: Read,
    command: str,
) -> LevelCalibration:
    """Fit a calibration on readings of disjoint images `[N, H, W, C]`.

    Two thirds of the density images teach the detector, the others bring its parts into one scale,
    and the calibration images give the scores that p-values rest on, the scale of heatmaps, and the
    good images on which the power check draws its defects. Defects are read by `read`, and drawn
    by `seed`. Raises DataError where too few images were solved.
    """
    vocabulary = manifest.config.vocabulary
    good, own = (Solved.of(*part) for part in (density, calibration))
    require("density", len(good.images))
    require("calibration", len(own.images))
    cut = round(len(good.images) * (1 - HELD_BACK))
    taught, held = good[:cut], good[cut:]
    drawn, checked = (
        draw(part.images, count, vocabulary, seed + place, read)
        for place, (part, count) in enumerate(((taught, TAUGHT), (own, CHECKED)))
    )
    detector = fit_detector(taught, drawn, vocabulary, seed)
    usual, good_ones, strange_ones = (
        detector.measure(part.readings, part.images) for part in (held, own, checked.solved)
    )
    tails = Tails.of(usual.parts, WEIGHTS)
    scores, strange = (tails.score(one.parts) for one in (good_ones, strange_ones))
    heat = detector.heat_maps(own.readings, own.images)
    failed = [FAILED] * (len(calibration[1]) - len(own.images))
    return LevelCalibration(
        checkpoint=manifest.sha256,
        solver=spec,
        seed=seed,
        preprocessing=Preprocessing.of(manifest.config),
        density_images=source(density[1], len(good.images)),
        calibration_images=source(calibration[1], len(own.images)),
        detector=detector,
        tails=tails,
        scale=Scale(black=float(np.median(heat)), white=float(np.quantile(heat, WHITE))),
        power=check_power(
            scores,
            strange,
            checked.defects.kinds,
            {
                name: (good_ones.parts[:, place], strange_ones.parts[:, place])
                for place, name in enumerate(PARTS)
            },
            seed,
        ),
        peaks=Peaks.of([*heat.max((1, 2)).tolist(), *failed]),
        scores=tuple(np.sort(scores).tolist()),
        command=command,
    )


def fit_detector(good: Solved, drawn: Drawn, vocabulary: int, seed: int) -> Detector:
    """Fit a detector on `good` images and on defects that were drawn on such images."""
    subspace = Subspace.fit(brightness(good.images, vocabulary))
    most = max(1, MOST_PIXELS // good.images[0, ..., 0].size)
    masks = drawn.defects.masks[:most]
    maps = [features(part[:most].seen, subspace, vocabulary) for part in (good, drawn.solved)]
    table = statistics(good.seen, subspace, vocabulary)
    return Detector(
        vocabulary=vocabulary,
        subspace=subspace,
        perceptron=teach(draw_pixels(maps[0], maps[1], masks, seed), seed),
        heat=fit_heat(
            good.seen, drawn.solved.seen, drawn.defects.masks, subspace, vocabulary, seed
        ),
        density=fit_density(statistic_names(table.shape[1] - 2), table, seed),
    )
