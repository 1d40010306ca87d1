"""Errors of the mathematics.

ModelError
├── CheckpointError   a checkpoint that must not be served
├── DataError         a data set that cannot be read
├── EvaluationError   a figure that cannot be computed
├── MissingExtraError an optional package that is not installed
└── TrainingError     a training run that cannot go on
"""


class ModelError(Exception):
    """Base of every error that this package raises on purpose. Its text is one clear line."""


class CheckpointError(ModelError):
    """A missing, damaged or inconsistent checkpoint. The text names the file or tensor at fault."""


class DataError(ModelError):
    """A data set that is missing, unreadable, or not made of pixel tokens."""


class EvaluationError(ModelError):
    """A figure that cannot be computed, as where no image has a score."""


class MissingExtraError(ModelError):
    """An optional package that is not installed; the text says how to install it."""


class TrainingError(ModelError):
    """A training run that diverged, or whose saved state does not belong to it."""
