"""Simple coders, on images whose price is known."""

import io

import numpy as np
import pytest
from PIL import Image

from models.evaluation.card.coders import PNG, WEBP, simple_coders
from models.files.images import Tokens


def random_images(count: int, channels: int = 1) -> Tokens:
    return np.random.default_rng(0).integers(0, 256, (count, 16, 12, channels), dtype=np.uint8)


def test_noise_cannot_be_coded() -> None:
    found = simple_coders(random_images(400), random_images(20), 256)
    for bits in (found.png.mean, found.webp.mean, found.png_strip, found.webp_strip):
        assert bits >= 8
    # 400 images over 256 values: the plus one of each value costs up to a bit or so.
    assert 7.0 < found.marginal.mean < 8.5


def test_a_marginal_is_the_frequency_plus_one() -> None:
    train = np.zeros((98, 16, 12, 1), np.uint8)
    train[:49] = 1
    found = simple_coders(train, train[:3], 2)
    assert found.marginal.mean == pytest.approx(1)
    assert simple_coders(train[:49], train[:3], 2).marginal.mean == pytest.approx(-np.log2(50 / 51))


def test_a_strip_spares_the_fixed_bytes_of_a_file() -> None:
    images = np.zeros((50, 16, 12, 3), np.uint8)
    found = simple_coders(images, images, 256)
    assert found.png_strip < found.png.mean / 10
    assert found.webp_strip < found.webp.mean / 10


@pytest.mark.parametrize("options", [PNG, WEBP], ids=["png", "webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_coders_lose_nothing(options: dict[str, object], channels: int) -> None:
    image = random_images(1, channels)[0]
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, **options)
    with Image.open(file) as opened:
        decoded = np.asarray(opened.convert("L" if channels == 1 else "RGB"))
    np.testing.assert_array_equal(decoded, image.squeeze())
