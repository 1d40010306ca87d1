"""A recipe is proposed from what photographs look like. Every choice has a reason, which is
printed."""

import math
import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from models.schema.errors import DataError, PictureShapeError
from models.schema.manifest import DataPart
from models.schema.preprocessing import PictureRule, Size

# Fewer pictures leave nothing to train on beside those that p-values rest on.
FEWEST_PICTURES = 12
SAMPLED = 60
# Thumbnails of parts that lie in one place correlate; pieces of a texture do not.
_ALIKE = 0.6
_THUMBNAIL = 32
_COLOURFUL = 16
# Whole pictures of about 32 x 32 values, or two to three tiles of 32 along the shorter side.
_SIDE, _ACROSS, _MULTIPLE = 32, 96, 8
# Pictures to train on, and rows to solve for the density and for the p-values.
_MOST_TRAIN, _MOST_DENSITY, _MOST_CALIBRATION = 8000, 2400, 2400
_USUAL_CALIBRATION = 20
# Of a folder's pictures, the smallest per cent may be smaller than a tile: they are left out rather
# than have all others cut small.
_SMALL = 10


@dataclass
class Impression:
    """Sizes, upright, of some photographs, whether any is coloured, and how much they are alike:
    the median correlation of their thumbnails."""

    sizes: list[Size]
    coloured: bool
    alike: float

    @classmethod
    def of(cls, images: Sequence[Image.Image]) -> "Impression":
        """Return the impression of decoded photographs."""
        small = [
            np.asarray(one.convert("RGB").resize((_THUMBNAIL,) * 2, Image.Resampling.BOX), float)
            for one in images
        ]
        spread = max(float(np.percentile(np.ptp(one, axis=-1), 99)) for one in small)
        flat = np.stack([one.mean(-1).ravel() for one in small])
        flat -= flat.mean(1, keepdims=True)
        flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)
        pairs = (flat @ flat.T)[np.triu_indices(len(flat), 1)]
        alike = float(np.median(pairs)) if len(pairs) else 0.0
        sizes = [Size(one.height, one.width) for one in images]
        return cls(sizes, spread > _COLOURFUL, alike)


@dataclass
class Wishes:
    """The choices that a user makes instead of the proposal."""

    mode: str | None = None
    vocabulary: int | None = None
    tile: Size | None = None
    resize: Size | None = None
    scale: float | None = None
    test: int = 0


@dataclass
class Proposal:
    """Settings of a recipe's sections, and a line for each choice."""

    preprocessing: dict[str, Any]
    model: dict[str, Any]
    split: dict[DataPart, int]
    shift: int
    reasons: list[str] = field(default_factory=list)


def propose(seen: Impression, count: int, wishes: Wishes) -> Proposal:
    """Propose the rule, the network and the split for `count` photographs. Raises DataError."""
    reasons: list[str] = []
    mode = wishes.mode or ("rgb" if seen.coloured else "grey")
    if wishes.mode is None:
        reasons.append(f"mode {mode}: {'some' if seen.coloured else 'no'} pictures have colours")
    size, tile, shift = _size(seen, wishes, reasons)
    vocabulary = wishes.vocabulary or 256
    preprocessing = {
        "mode": mode,
        "size": size,
        "tile": list(tile),
        "stride": list(tile),
        "levels": vocabulary,
    }
    if wishes.test and count < FEWEST_PICTURES + wishes.test:
        raise DataError(
            f"{count} pictures; with {wishes.test} for --test at least "
            f"{FEWEST_PICTURES + wishes.test} are needed"
        )
    rows = _rows(PictureRule.model_validate(preprocessing), seen)
    split = propose_split(count - wishes.test, rows)
    if wishes.test:
        split["test"] = wishes.test
    parts = ", ".join(f"{number} {part}" for part, number in split.items())
    reasons.append(f"split by file: {parts}; alpha from 1/{split['calibration'] + 1}")
    if count < SAMPLED:
        reasons.append(
            "few pictures: each gives tiles at random places, as many as training asks for"
        )
    return Proposal(preprocessing, _network(tile, mode, vocabulary), split, shift, reasons)


def propose_split(count: int, rows: float = 1.0) -> dict[DataPart, int]:
    """Divide `count` pictures of `rows` tiles on average: a third calibrates, a sixth shows the
    usual statistics, and the rest is trained on.

    Of few pictures 20 calibrate, for alphas from 1/21. Of many, no more calibrate than some minutes
    allow on a CPU. Raises DataError.
    """
    if count < FEWEST_PICTURES:
        raise DataError(
            f"{count} pictures; at least {FEWEST_PICTURES} are needed, and 40 for false alarms of "
            "5 %: take more photographs of good parts"
        )
    usual = min(_USUAL_CALIBRATION, count // 2 + 1)
    calibration = max(usual, min(count // 3, int(_MOST_CALIBRATION / rows)))
    density = max(3, min(count // 6, int(_MOST_DENSITY / rows)))
    train = min(_MOST_TRAIN, count - calibration - density)
    return {"train": train, "density": density, "calibration": calibration}


def _rows(rule: PictureRule, seen: Impression) -> float:
    """Return the mean number of tiles of the pictures that are large enough."""
    counts = []
    for size in seen.sizes:
        with suppress(PictureShapeError):
            counts.append(rule.tiles(size))
    return statistics.mean(counts) if counts else 1.0


def _size(seen: Impression, wishes: Wishes, reasons: list[str]) -> tuple[dict[str, Any], Size, int]:
    """Choose between whole pictures and tiles; return the size rule, the tile and the shift."""
    height, width = (statistics.median(size[axis] for size in seen.sizes) for axis in (0, 1))
    shortest = int(np.percentile([min(size) for size in seen.sizes], _SMALL, method="higher"))
    alike = f"the pictures {'are' if seen.alike >= _ALIKE else 'are not'} alike ({seen.alike:.2f})"
    if wishes.resize is not None:
        tile = wishes.tile or wishes.resize
        return {"rule": "resize", **wishes.resize._asdict()}, tile, _shift(tile)
    if wishes.scale is None and wishes.tile is None and seen.alike >= _ALIKE:
        tile = _whole(height, width)
        reasons.append(f"whole pictures at {tile} (height x width): {alike}")
        return {"rule": "resize", **tile._asdict()}, tile, _shift(tile)
    factor = wishes.scale or min(1.0, _ACROSS / min(height, width))
    if wishes.tile is not None:
        tile = wishes.tile
    else:
        side = min(_SIDE, int(shortest * factor) // 4 * 4)
        if side < 4:
            raise DataError(
                f"a picture of {shortest} pixels is too small to be scaled by {factor:.3g}; leave "
                "it out, or choose --scale"
            )
        tile = Size(side, side)
    reasons.append(f"tiles of {tile} at {factor:.3g} of the size: {alike}")
    if below := sum(min(size) * factor < min(tile) for size in seen.sizes):
        reasons.append(f"{below} of {len(seen.sizes)} pictures looked at are smaller than a tile")
    return {"rule": "scale", "factor": round(factor, 4)}, tile, 0


def _whole(height: float, width: float) -> Size:
    """Return a size of about 32 x 32 values, or of the picture's where that is smaller, with nearly
    its proportions."""
    area = min(_SIDE**2, height * width)
    sides = range(_MULTIPLE, 4 * _SIDE, _MULTIPLE)
    fitting = [Size(h, w) for h in sides for w in sides if 0.7 <= h * w / area <= 1.6]
    if not fitting:
        return Size(_MULTIPLE, _MULTIPLE)
    return min(fitting, key=lambda size: abs(math.log(size.height / size.width * width / height)))


def _shift(tile: Size) -> int:
    return max(1, min(tile) // 16)


def _network(tile: Size, mode: str, vocabulary: int) -> dict[str, Any]:
    """Return the network's settings: those of the shipped small networks, at the tile's size."""
    patch = 2 if tile.height % 2 == tile.width % 2 == 0 else 1
    coarse = 48 if all(side % (2 * patch) == 0 for side in tile) else 0
    return {
        "image_shape": [*tile, 3 if mode == "rgb" else 1],
        "vocabulary": vocabulary,
        "parameterisation": "velocity",
        "width": 32,
        "depth": 2,
        "encoder_depth": 1,
        "dropout": 0.0,
        "groups": 8,
        "patch": patch,
        "coarse_width": coarse,
        "fourier": [2, 3, 4, 5, 6, 7] if vocabulary > 64 else [2, 3, 4],
        "fourier_fade": True,
        "residual": False,
        "time_scale": 30.0,
        "latent_size": 16,
        "latent_k": 1,
        "schedule_width": 64,
        # The noise at t = 0 fills a bin.
        "gamma_min": round(-2 * math.log(3 * vocabulary), 1),
        "gamma_max": 7.0,
    }
