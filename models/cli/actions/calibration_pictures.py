"""The photographs of a calibration, and its result in words."""

import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from models.anomaly.conformal import at_least
from models.evaluation.anomalies.calibrating import PictureScores, PictureSets
from models.evaluation.anomalies.counts import auroc, count, table
from models.evaluation.recorded_pictures import recorded_pictures
from models.preprocessing.folder import scan
from models.preprocessing.loading import LoadedPicture, load_pictures
from models.preprocessing.record import read_record
from models.preprocessing.splitting import split_pictures
from models.schema.errors import DataError
from models.schema.manifest import Manifest
from models.schema.preprocessing import PictureRule
from models.training.recipe import read_recipe

FEWEST_PICTURES = 8
_USUAL_CALIBRATION = 20
_STRANGEST = 3


def calibration_pictures(
    folder: Path,
    manifest: Manifest,
    data: str | None,
    normal: Path | None,
    held_out: Path | None,
    defects: Path | None,
    group: str,
    most: int,
) -> PictureSets:
    """Load the photographs of a calibration: those of `normal`, or of the checkpoint's own split.

    Raises DataError.
    """
    rule = manifest.preprocessing
    assert rule is not None
    notes: list[str] = []
    kept: list[LoadedPicture] = []
    if normal is None:
        source = data or read_recipe(str(folder)).data.source
        parts = recorded_pictures(manifest, source)
        if "density" not in parts or "calibration" not in parts:
            raise DataError(f"{manifest.name} has no density or calibration part; give --normal")
        density, calibration = parts["density"][:most], parts["calibration"][:most]
        kept = parts.get("test", [])
        notes.append(
            "these pictures come from the same folder as the training's. Under another lamp, "
            "camera or batch more good ones may be stopped: calibrate on later ones by --normal"
        )
    else:
        density, calibration = _divided(normal, rule, group, most, notes)
    sets = PictureSets(density, calibration, kept, same_source=normal is None, notes=notes)
    for place, name in ((held_out, "held_out"), (defects, "defects")):
        if place is not None:
            setattr(sets, name, load_folder(place, rule, notes))
    sets.check_apart(read_record(folder), rule)
    return sets


def report(folder: Path, sets: PictureSets, scores: PictureScores) -> str:
    """Describe a calibration on pictures in counts."""
    reference = scores.calibration.pictures
    assert reference is not None
    sizes = len(scores.good), len(scores.held_out), len(scores.defects)
    rows = count(scores.good, scores.held_out, scores.defects)
    lines = [
        f"{folder}: calibrated on {reference.density_pictures} + {reference.pictures} good "
        f"pictures, of which {reference.failed} of the second failed; alpha from "
        f"{at_least(reference.smallest_alpha)}",
        table(rows, *sizes),
    ]
    area = auroc([*scores.held_out] or scores.good, scores.defects)
    if area is not None:
        against = "other good" if scores.held_out else "calibration"
        lines.append(f"AUROC of {sizes[2]} defects against the {against} pictures: {area:.3f}")
    order = np.argsort(scores.good)[::-1][:_STRANGEST]
    names = ", ".join(sets.calibration[index].name for index in order)
    lines.append(f"strangest of the good pictures, to be looked at first: {names}")
    return "\n".join([*lines, *(f"note: {note}" for note in sets.notes)])


def _divided(
    normal: Path, rule: PictureRule, group: str, most: int, notes: list[str]
) -> tuple[list[LoadedPicture], list[LoadedPicture]]:
    """Load good photographs, a third for the density and the others for the p-values."""
    pictures = {one.name: one for one in load_folder(normal, rule, notes)}
    if len(pictures) < FEWEST_PICTURES:
        raise DataError(
            f"{normal}: {len(pictures)} good pictures; at least {FEWEST_PICTURES} are needed, and "
            "30 for alphas from 1/21"
        )
    named = [one for one in scan(normal).photographs if one.name in pictures]
    share = max(3, min(len(named) // 3, len(named) - _USUAL_CALIBRATION))
    chosen = {one.name for one in split_pictures(named, {"density": share}, 0, group)["density"]}
    density = [pictures[one.name] for one in named if one.name in chosen]
    calibration = [pictures[one.name] for one in named if one.name not in chosen]
    if not calibration:
        raise DataError(f"{normal}: one group has all pictures, and none is left for the p-values")
    return density[:most], calibration[:most]


def load_folder(place: Path, rule: PictureRule, notes: list[str]) -> list[LoadedPicture]:
    """Load the photographs of a folder; `notes` get a line on what is left out.

    Raises DataError.
    """
    found = scan(place, defects=True)
    with tqdm(total=len(found.photographs), desc=place.name, file=sys.stderr) as bar:
        pictures = load_pictures(found.photographs, rule, found, bar.update)
    for reason, names in found.left_out.items():
        notes.append(f"left out of {place.name}, {reason}: {len(names)}, as {names[0]}")
    return pictures
