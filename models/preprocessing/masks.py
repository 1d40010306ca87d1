"""Masks that lie beside photographs are recognised, so that nobody trains on them."""

import re
from pathlib import Path

import numpy as np

from models.preprocessing.decode import decode
from models.schema.errors import PictureError
from models.schema.regular import read_regular

# Folders of public inspection data sets, and what people call their own.
MASKS = re.compile(r"annotations?|ground_?truth|gt|labels?|masks?|segmentations?", re.IGNORECASE)
DEFECTS = re.compile(
    r"abnormal|anomal(?:y|ies|ous)|bad|broken|defect(?:s|ive)?|faulty|ng|nok|rejects?",
    re.IGNORECASE,
)
_SUFFIX = re.compile(r"[-_. ](?:mask|gt|label|seg|annotation)s?$", re.IGNORECASE)
_MOST_BYTES = 64 << 20
# Resampling and lossy coding leave some pixels between a mask's two levels.
_TWO_LEVELS, _NEAR = 0.98, 8


def plain_stem(path: Path) -> str:
    """Return the name of a file without suffixes, `_mask` among them, in lower case."""
    return _SUFFIX.sub("", path.stem).lower()


def is_mask(path: Path) -> bool:
    """Return whether nearly all pixels of a file have one of two levels, and no colour."""
    try:
        image = decode(read_regular(path, _MOST_BYTES))
    except (PictureError, OSError):
        return False
    colours = np.asarray(image.convert("RGB"), np.int16)
    if (np.ptp(colours, axis=-1) > _NEAR).any():
        return False
    grey = colours[..., 0]
    least, most = int(grey.min()), int(grey.max())
    near = (grey - least <= _NEAR) | (most - grey <= _NEAR)
    return bool(near.mean() >= _TWO_LEVELS)
