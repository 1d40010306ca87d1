"""The classifier, and what it says of images."""

import numpy as np
import pytest
import torch

from models.evaluation.samples.classifier import Classifier, fit_classifier
from models.evaluation.samples.recognition import RealImages, recognise
from models.files.images import Labels, Tokens, load_labels, load_tokens
from models.schema.errors import DataError
from models.schema.specs import Ddpm

IMAGES, LABELS = load_tokens("digits", 17), load_labels("digits")
TEST: tuple[Tokens, Labels] = (IMAGES[1400:], LABELS[1400:])


def real(classifier: Classifier) -> RealImages:
    return RealImages(IMAGES[:1400], *TEST, classifier)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return fit_classifier(IMAGES[:1400], LABELS[:1400], 17)


def test_it_recognises_real_digits_and_not_noise(classifier: Classifier) -> None:
    noise = np.random.default_rng(0).integers(0, 17, (400, 8, 8, 1), dtype=np.uint8)
    found = recognise(real(classifier), noise, Ddpm(), seed=3)
    assert found.test_accuracy > 0.9
    assert found.test_confidence.mean > 0.9
    assert found.sample_confidence.mean < found.test_confidence.mean - 0.1
    assert (sum(found.sample_classes), sum(found.test_classes)) == (400, 397)


def test_real_images_are_as_good_as_themselves(classifier: Classifier) -> None:
    found = recognise(real(classifier), TEST[0], Ddpm(), seed=3)
    assert found.sample_confidence == found.test_confidence
    assert found.sample_classes == found.test_classes
    right = classifier.probabilities(TEST[0]).argmax(1).numpy() == TEST[1]
    assert found.test_accuracy == pytest.approx(right.mean())


def test_the_seed_determines_it_and_the_global_stream_is_left_alone(
    classifier: Classifier,
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    again = fit_classifier(IMAGES[:1400], LABELS[:1400], 17)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(again.probabilities(TEST[0]), classifier.probabilities(TEST[0]))


def test_a_label_for_every_image() -> None:
    with pytest.raises(DataError, match="3 images, 2 labels"):
        fit_classifier(IMAGES[:3], LABELS[:2], 17)
