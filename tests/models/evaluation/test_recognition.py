"""The classifier, and what it says of images."""

from typing import cast

import numpy as np
import pytest
import torch

from models.evaluation.samples.classifier import Classifier, fit_classifier, turned
from models.evaluation.samples.recognition import Known, RealImages, recognise
from models.evaluation.samples.sweep import Judge
from models.files.images import Labels, Tokens, load_labels, load_tokens
from models.schema.errors import DataError
from models.schema.specs import Ddpm

IMAGES, LABELS = load_tokens("digits", 17), cast(Labels, load_labels("digits"))
TEST: tuple[Tokens, Labels] = (IMAGES[1400:], LABELS[1400:])


def real(classifier: Classifier) -> RealImages:
    return RealImages(IMAGES[:1400], TEST[0], Known(TEST[1], classifier))


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


@pytest.mark.parametrize("shape", [(5, 5), (4, 6)])
def test_images_without_classes_are_turned_in_four_ways(shape: tuple[int, int]) -> None:
    """No position is another's, and each is undone by what the label says."""
    one = np.random.default_rng(0).integers(0, 256, (1, *shape, 3), dtype=np.uint8)
    images, positions = turned(np.repeat(one, 8, axis=0))
    assert np.bincount(positions).tolist() == [2, 2, 2, 2]
    assert len(np.unique(images.reshape(8, -1), axis=0)) == 4
    np.testing.assert_array_equal(images[positions == 0], np.repeat(one, 2, axis=0))
    for image in images:
        assert sorted(image.ravel()) == sorted(one.ravel())


def test_features_of_turned_images_tell_images_from_noise() -> None:
    images, positions = turned(IMAGES[:1400])
    judge = Judge.of(fit_classifier(images, positions, 17), TEST[0])
    noise = np.random.default_rng(0).integers(0, 17, (200, 8, 8, 1), dtype=np.uint8)
    near, far = judge.kernel_distance(IMAGES[:200]), judge.kernel_distance(noise)
    assert near.value < 0.1 * far.value


def test_without_classes_nothing_is_recognised() -> None:
    with pytest.raises(DataError, match="no classes are known"):
        recognise(RealImages(IMAGES[:10], TEST[0], None), TEST[0], Ddpm(), seed=3)
