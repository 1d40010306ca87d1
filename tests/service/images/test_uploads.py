"""PNG and .npy: exact both ways, and any bytes at all are answered by an error of ours."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from models.files.pictures import contact_sheet, encode_png
from models.schema.config import ModelConfig
from service.errors import BadRequest
from service.images.npy import encode_npy
from service.images.reading import count_images, decode
from service.images.upload import Upload

MAX_PIXELS = 1 << 16


def config(shape: tuple[int, int, int], vocabulary: int) -> ModelConfig:
    return ModelConfig(image_shape=shape, vocabulary=vocabulary)


shapes = st.tuples(st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 3]))


@st.composite
def images(draw: st.DrawFn) -> tuple[np.ndarray, ModelConfig]:
    shape, vocabulary = draw(shapes), draw(st.integers(2, 256))
    count = draw(st.integers(1, 4))
    tokens = draw(arrays(np.uint8, (count, *shape), elements=st.integers(0, vocabulary - 1)))
    return tokens, config(shape, vocabulary)


@given(images())
def test_tokens_survive_both_formats(case: tuple[np.ndarray, ModelConfig]) -> None:
    tokens, model = case
    parts = [Upload("images", encode_png(image, model.vocabulary)) for image in tokens]
    assert [count_images(part) for part in parts] == [1] * len(tokens)
    back = np.concatenate([decode(part, model, MAX_PIXELS) for part in parts])
    np.testing.assert_array_equal(back, tokens)
    array = Upload("images", encode_npy(tokens))
    assert count_images(array) == len(tokens)
    np.testing.assert_array_equal(decode(array, model, MAX_PIXELS), tokens)


@pytest.mark.parametrize("vocabulary", [2, 3, 7, 17, 255, 256])
def test_a_png_carries_the_contract_s_pixels(vocabulary: int) -> None:
    tokens = np.arange(vocabulary, dtype=np.uint8).reshape(1, vocabulary, 1)
    pixels = np.asarray(Image.open(io.BytesIO(encode_png(tokens, vocabulary))))[0]
    assert pixels.tolist() == [round(255 * v / (vocabulary - 1)) for v in range(vocabulary)]


SMALL = config((4, 3, 1), 17)
SEEDS = [
    encode_png(np.zeros((4, 3, 1), np.uint8), 17),
    encode_npy(np.zeros((2, 4, 3, 1), np.uint8)),
]


@settings(max_examples=600)
@given(st.sampled_from(SEEDS), st.data())
def test_damaged_files_are_refused_or_read_but_never_crash(
    seed: bytes, data: st.DataObject
) -> None:
    content = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    part = Upload("images[0]", bytes(content))
    with contextlib.suppress(BadRequest):
        count_images(part)
        tokens = decode(part, SMALL, MAX_PIXELS)
        assert tokens.shape[1:] == (4, 3, 1)
        assert tokens.max(initial=0) < 17


@settings(max_examples=300)
@given(st.text(st.characters(codec="latin-1"), max_size=80))
def test_any_npy_header_is_survived(header: str) -> None:
    text = header.encode("latin-1")
    content = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    with pytest.raises(BadRequest):
        count_images(Upload("images", content))


def test_the_sheet_shows_every_image_in_its_place() -> None:
    tokens = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 40, 20, 1), np.uint8)
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet(tokens, 17))))
    assert sheet.shape == (2 * 42 + 2, 3 * 22 + 2)
    for index in range(5):
        y, x = 2 + index // 3 * 42, 2 + index % 3 * 22
        assert (sheet[y : y + 40, x : x + 20] == round(255 * index / 16)).all()
    assert (sheet[44:, 46:] == 128).all()


@pytest.mark.parametrize(("side", "enlarged"), [(8, 64), (28, 56), (32, 64), (64, 64), (100, 100)])
def test_small_images_are_enlarged_by_whole_factors(side: int, enlarged: int) -> None:
    tokens = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet(tokens, 256))))[2:-2, 2:-2]
    assert sheet.shape == (enlarged, enlarged, 3)
    np.testing.assert_array_equal(sheet[:: enlarged // side, :: enlarged // side], tokens[0])
