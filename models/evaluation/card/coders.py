"""Code lengths of the same images by simple lossless coders, which a model has to beat."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.evaluation.measurement import EvaluationRecord, Measurement
from models.files.images import Tokens
from models.files.pictures import coded_bits

PNG: dict[str, Any] = {"format": "PNG", "optimize": True}
WEBP: dict[str, Any] = {"format": "WEBP", "lossless": True, "quality": 100, "method": 6}
# WebP's greatest side is 16,383.
STRIP_HEIGHT = 16_000


class Coders(EvaluationRecord):
    """Bits/dim of test images by coders that know nothing of them, and by one that has seen the
    training images.

    `png` and `webp` code each image in a file of its own; the strips code many in one tall image,
    so that a file's fixed bytes weigh nothing. `marginal` is the ideal code by each pixel's own
    histogram, plus one, over the training images.
    """

    images: int
    png: Measurement
    webp: Measurement
    png_strip: float
    webp_strip: float
    marginal: Measurement


def simple_coders(train: Tokens, test: Tokens, vocabulary: int) -> Coders:
    """Bits/dim of `test` `[N, H, W, C]`; `train` `[M, H, W, C]` makes the histograms."""
    count, height, width, channels = test.shape
    strip = test[: max(1, STRIP_HEIGHT // height)].reshape(-1, width, channels)
    return Coders(
        images=count,
        png=Measurement.of(_each(test, PNG)),
        webp=Measurement.of(_each(test, WEBP)),
        png_strip=coded_bits(strip, PNG) / strip.size,
        webp_strip=coded_bits(strip, WEBP) / strip.size,
        marginal=Measurement.of(_marginal(train, test, vocabulary)),
    )


def _each(images: Tokens, options: dict[str, Any]) -> Tensor:
    return torch.tensor([coded_bits(image, options) / image.size for image in images])


def _marginal(train: Tokens, test: Tokens, vocabulary: int) -> Tensor:
    """Ideal code lengths `[N]`, bits/dim."""
    seen, asked = (images.reshape(len(images), -1).astype(np.int64) for images in (train, test))
    dimensions = seen.shape[1]
    counts = np.ones((dimensions, vocabulary))
    np.add.at(counts, (np.arange(dimensions), seen), 1)
    bits = -np.log2(counts / counts.sum(1, keepdims=True))
    return torch.from_numpy(bits[np.arange(dimensions), asked].mean(1))
