"""Recognition of generated images by a classifier that has only seen real ones."""

from typing import NamedTuple

import torch
from pydantic import Field

from models.evaluation.measurement import EvaluationRecord, Measurement
from models.evaluation.recorded_data import RecordedData
from models.evaluation.samples.classifier import Classifier, fit_classifier
from models.files.images import Labels, Tokens
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


class RealImages(NamedTuple):
    """All that a card takes from a checkpoint's data: training and test images, tokens
    `[N, H, W, C]`, the latter's classes `[N]`, and a classifier of the former."""

    train: Tokens
    test: Tokens
    labels: Labels
    classifier: Classifier


def real_images(data: RecordedData) -> RealImages:
    """Read and fitted at once, before anything dear is done. Raises DataError."""
    test, labels = data.images("test"), data.labels("test")
    return RealImages(data.images("train"), test, labels, classifier_of(data))


def classifier_of(data: RecordedData) -> Classifier:
    """Trained on the checkpoint's training images. Raises DataError."""
    vocabulary = data.manifest.config.vocabulary
    return fit_classifier(data.images("train"), data.labels("train"), vocabulary)


def recognise(real: RealImages, samples: Tokens, sampler: SamplerSpec, seed: int) -> Recognition:
    """Compare `samples` `[N, H, W, C]`, drawn by `sampler` with `seed`, to real test images."""
    probabilities = real.classifier.probabilities
    on_samples, on_test = (probabilities(part).max(dim=1) for part in (samples, real.test))
    classes = probabilities(real.test[:1]).shape[1]
    return Recognition(
        sampler=sampler,
        seed=seed,
        samples=len(samples),
        sample_confidence=Measurement.of(on_samples.values),
        sample_classes=torch.bincount(on_samples.indices, minlength=classes).tolist(),
        test_images=len(real.test),
        test_confidence=Measurement.of(on_test.values),
        test_accuracy=float((on_test.indices == torch.from_numpy(real.labels)).float().mean()),
        test_classes=torch.bincount(on_test.indices, minlength=classes).tolist(),
    )
