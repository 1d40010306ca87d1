"""Recognition of generated images by a classifier that has only seen real ones."""

from typing import NamedTuple

import torch
from pydantic import Field

from models.evaluation.measurement import EvaluationRecord, Measurement
from models.evaluation.recorded_data import RecordedData
from models.evaluation.samples.classifier import Classifier, fit_classifier, turned
from models.files.images import Labels, Tokens
from models.schema.errors import DataError
from models.schema.specs import SamplerSpec


class Recognition(EvaluationRecord):
    """Top-class confidences, and how often each class was the top one."""

    sampler: SamplerSpec
    seed: int
    samples: int
    sample_confidence: Measurement
    sample_classes: list[int] = Field(description="Samples by the class they were taken for.")
    test_images: int
    test_confidence: Measurement
    test_accuracy: float
    test_classes: list[int] = Field(description="Test images, likewise.")


class Known(NamedTuple):
    """Test images with classes: their classes `[N]`, and a classifier of the training images."""

    labels: Labels
    classifier: Classifier


class RealImages(NamedTuple):
    """All that a card takes from a checkpoint's data: training and test images, tokens
    `[N, H, W, C]`, and what is known of their classes, if they have any."""

    train: Tokens
    test: Tokens
    known: Known | None


def real_images(data: RecordedData) -> RealImages:
    """Read and fitted at once, before anything dear is done. Raises DataError."""
    train, test, labels = data.images("train"), data.images("test"), data.labels("test")
    known = None if labels is None else Known(labels, classifier_of(data))
    return RealImages(train, test, known)


def classifier_of(data: RecordedData) -> Classifier:
    """Return a classifier of the checkpoint's training images: of their classes, or where they
    have none, of the ways in which they were turned. Raises DataError."""
    vocabulary = data.manifest.config.vocabulary
    images, labels = data.images("train"), data.labels("train")
    if labels is None:
        images, labels = turned(images)
    return fit_classifier(images, labels, vocabulary)


def recognise(real: RealImages, samples: Tokens, sampler: SamplerSpec, seed: int) -> Recognition:
    """Compare `samples` `[N, H, W, C]`, drawn by `sampler` with `seed`, to real test images.

    Raises DataError where the real images have no classes.
    """
    if real.known is None:
        raise DataError("no classes are known of these images, by which samples are recognised")
    labels, classifier = real.known
    on_samples, on_test = (
        classifier.probabilities(part).max(dim=1) for part in (samples, real.test)
    )
    classes = classifier.classes
    return Recognition(
        sampler=sampler,
        seed=seed,
        samples=len(samples),
        sample_confidence=Measurement.of(on_samples.values),
        sample_classes=torch.bincount(on_samples.indices, minlength=classes).tolist(),
        test_images=len(real.test),
        test_confidence=Measurement.of(on_test.values),
        test_accuracy=float((on_test.indices == torch.from_numpy(labels)).float().mean()),
        test_classes=torch.bincount(on_test.indices, minlength=classes).tolist(),
    )
