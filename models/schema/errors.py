"""Errors of the mathematics.

ModelError
├── CheckpointError   a checkpoint that must not be served
│   └── NoManifestError   a folder that is no checkpoint
├── DataError         a data set that cannot be read
│   └── PictureError      a picture that cannot be taken for an image of a model's
│       ├── PictureDamageError   it cannot be read
│       ├── PictureSizeError     it has too many pixels, or too much beside them
│       ├── PictureShapeError    it has another size, or other channels
│       └── PictureDepthError    it has more than 8 bits a value
├── EvaluationError   a figure that cannot be computed
├── MissingExtraError an optional package that is not installed
├── PushError         a service that did not load a checkpoint
├── TrainingError     a training run that cannot go on
└── UnavailableRuntimeError   a runtime that cannot serve a checkpoint here
"""


class ModelError(Exception):
    """Base of every error that this package raises on purpose. Its text is one clear line."""


class CheckpointError(ModelError):
    """A missing, damaged or inconsistent checkpoint. The text names the file or tensor at fault."""


class NoManifestError(CheckpointError):
    """A folder without a manifest, or a place that is no folder."""


class DataError(ModelError):
    """A data set that is missing, unreadable, or not made of pixel tokens."""


class PictureError(DataError):
    """A picture that cannot be converted to a model's image without loss."""


class PictureDamageError(PictureError):
    """A picture that is truncated, forged or damaged, or that contradicts itself."""


class PictureSizeError(PictureError):
    """A picture of too many pixels, or a file of too many bytes or chunks for its pixels."""


class PictureShapeError(PictureError):
    """A picture of another size, or of other channels: colour for grey, or transparency."""


class PictureDepthError(PictureError):
    """A picture of more than 8 bits a value."""


class EvaluationError(ModelError):
    """A figure that cannot be computed, as where no image has a score."""


class MissingExtraError(ModelError):
    """An optional package that is not installed; the text says how to install it."""


class PushError(ModelError):
    """A service that could not be asked to load a checkpoint, or that has refused it."""


class TrainingError(ModelError):
    """A training run that diverged, or whose saved state does not belong to it."""


class UnavailableRuntimeError(ModelError):
    """A runtime that cannot serve a checkpoint on this machine; the text says what it lacks, or how
    far its answers are from the right ones."""
