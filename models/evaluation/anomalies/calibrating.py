"""Calibration on whole pictures: their tiles are solved, fitted and ranked picture by picture."""

import sys
from dataclasses import dataclass, field

import numpy as np
import torch
from tqdm import tqdm

from models.anomaly.any_fitting import calls_to_fit, fit_calibration
from models.anomaly.kept import AnyCalibration
from models.anomaly.level_calibration import LevelCalibration
from models.anomaly.picture_heat import picture_peaks
from models.anomaly.pictures import Aggregate, PictureReference, picture_scores
from models.anomaly.ranked import FEWEST
from models.anomaly.readings import Reading
from models.anomaly.regions import Peaks
from models.anomaly.rows import read
from models.files.images import Tokens
from models.preprocessing.loading import LoadedPicture, joint_digest
from models.preprocessing.record import PictureRecord
from models.preprocessing.tiles import Picture, cut, cut_all
from models.rows.denoiser import Denoiser
from models.schema.errors import DataError
from models.schema.manifest import Manifest
from models.schema.preprocessing import PictureRule
from models.schema.specs import FlowPath, Levels

# Statistics are fitted on at least so many tiles; few whole pictures are seen at several places.
_FITTED_ROWS = 2 * FEWEST
_MOST_SHOWN = 3


@dataclass
class PictureSets:
    """Good pictures for the density and for the p-values, and pictures that are only judged: other
    good ones and bad ones. `same_source` says that the good ones come from the training's folder,
    `notes` what a user should know about them."""

    density: list[LoadedPicture]
    calibration: list[LoadedPicture]
    held_out: list[LoadedPicture] = field(default_factory=list)
    defects: list[LoadedPicture] = field(default_factory=list)
    same_source: bool = False
    notes: list[str] = field(default_factory=list)

    def check_apart(self, record: PictureRecord | None, rule: PictureRule) -> None:
        """Refuse pictures that were trained on or that are in two sets, by their pixels.

        Notes where it cannot be known. Raises DataError, which names some of them.
        """
        if record is None or record.rule != rule.digest:
            self.notes.append(
                "it is not recorded which pictures this checkpoint was trained on; make sure that "
                "none of these was among them"
            )
        trained = {*record.parts.get("train", ())} if record is not None else set[str]()
        for name in ("density", "calibration", "held_out"):
            some: list[LoadedPicture] = getattr(self, name)
            same = [one.name for one in some if one.digest in trained]
            if same:
                raise DataError(
                    f"{len(same)} of {len(some)} {name.replace('_', '-')} pictures were trained "
                    f"on: {', '.join(same[:_MOST_SHOWN])}; take others"
                )
        fitted = {one.digest for one in [*self.density, *self.calibration]}
        for one in (*self.held_out, *self.defects):
            if one.digest in fitted:
                raise DataError(f"{one.name} is among the good pictures too; take it out of one")


@dataclass(frozen=True)
class PictureScores:
    """The calibration, and the scores of all pictures in the order of their sets."""

    calibration: AnyCalibration
    good: list[float]
    held_out: list[float]
    defects: list[float]


@dataclass(frozen=True)
class Settings:
    """The solver and what else determines a calibration."""

    solver: FlowPath | Levels
    seed: int
    aggregate: Aggregate
    command: str
    device: torch.device


def calibrate_on_pictures(
    manifest: Manifest, denoiser: Denoiser, sets: PictureSets, settings: Settings
) -> PictureScores:
    """Fit a calibration on pictures and score all of them. Raises DataError."""
    rule = manifest.preprocessing
    assert rule is not None
    density = _views([one.picture for one in sets.density], rule)
    parts = [
        cut_all([one.picture for one in some], rule)
        for some in (sets.calibration, sets.held_out, sets.defects)
    ]
    images = [density, *(tiles for tiles, _ in parts)]
    spec, seed, device = settings.solver, settings.seed, settings.device
    with tqdm(
        total=calls_to_fit([len(some) for some in images], spec), desc="reading", file=sys.stderr
    ) as bar:

        def reading(tiles: Tokens) -> list[Reading]:
            if not len(tiles):
                return []
            return read(denoiser, tiles, spec, seed, device, on_call=bar.update)

        first, *found = [reading(tiles) for tiles in images]
        fitted = fit_calibration(
            manifest,
            spec,
            seed,
            (first, density),
            (found[0], parts[0][0]),
            reading,
            settings.command,
        )
    good, held_out, defects = (
        picture_scores(fitted, settings.aggregate, readings, tiles, tiling)
        for readings, (tiles, tiling) in zip(found, parts, strict=True)
    )
    solved = sorted(score for score in good if np.isfinite(score))
    reference = PictureReference(
        rule=rule.digest,
        aggregate=settings.aggregate,
        pictures=len(good),
        failed=len(good) - len(solved),
        sha256=joint_digest(one.digest for one in sets.calibration),
        density_pictures=len(sets.density),
        density_sha256=joint_digest(one.digest for one in sets.density),
        same_source=sets.same_source,
        scores=tuple(solved),
    )
    changes: dict[str, object] = {"pictures": reference}
    if isinstance(fitted, LevelCalibration):
        changes["peaks"] = Peaks.of(picture_peaks(fitted, found[0], *parts[0]))
    calibration = fitted.model_copy(update=changes)
    return PictureScores(calibration, good, held_out, defects)


def _views(pictures: list[Picture], rule: PictureRule) -> Tokens:
    """Return the tiles of pictures; of few, also those of pictures that are moved by a pixel or
    two, with their edges repeated."""
    places = [(y, x) for y in (0, 1, -1, 2, -2) for x in (0, 1, -1, 2, -2)]
    places.sort(key=lambda place: abs(place[0]) + abs(place[1]))
    found: list[Tokens] = []
    for place in places:
        found += [cut(_moved(picture.tokens, *place), rule) for picture in pictures]
        if sum(map(len, found)) >= _FITTED_ROWS:
            break
    return np.concatenate(found)


def _moved(tokens: Tokens, down: int, right: int) -> Tokens:
    height, width = tokens.shape[:2]
    rows = (np.arange(height) - down).clip(0, height - 1)
    columns = (np.arange(width) - right).clip(0, width - 1)
    return np.ascontiguousarray(tokens[rows][:, columns])
