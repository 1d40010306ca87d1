"""Heat over an image, in one colour map."""

import io

import numpy as np
from PIL import Image

from models.anomaly.heatmap import Heatmap
from models.anomaly.overlay import OPACITY, overlay
from models.schema.preprocessing import Size

# From half a scale below black to half a scale above white.
HEAT = Heatmap(np.linspace(0.0, 4.0, 5)[None], 1.0, 3.0)
OWN = Size(1, 5)


def drawn(tokens: np.ndarray, vocabulary: int, size: Size = OWN) -> np.ndarray:
    image = Image.open(io.BytesIO(overlay(tokens, vocabulary, HEAT, size)))
    assert (image.format, image.mode) == ("PNG", "RGB")
    return np.asarray(image)


def test_nothing_is_drawn_where_heat_is_black_and_most_where_it_is_white() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (1, 5, 3), dtype=np.uint8)
    found = drawn(colours, 256)[0]
    assert np.array_equal(found[:2], colours[0, :2])
    red, orange = np.array([255, 0, 0]), np.array([255, 127.5, 0])
    for place, colour, opacity in ((2, orange, OPACITY / 2), (3, red, OPACITY), (4, red, OPACITY)):
        expected = (1 - opacity) * colours[0, place] + opacity * colour
        np.testing.assert_allclose(found[place], expected, atol=0.5)


def test_a_grey_image_has_its_levels_under_the_heat() -> None:
    tokens = np.full((1, 5, 1), 8, np.uint8)
    assert drawn(tokens, 17)[0, :2].tolist() == [[128] * 3] * 2
    assert drawn(tokens, 17)[0, 4].tolist() == [round(128 * 0.3 + 255 * 0.7), 38, 38]


def test_it_has_the_size_of_the_photograph() -> None:
    large = drawn(np.zeros((1, 5, 1), np.uint8), 17, Size(7, 40))
    assert large.shape == (7, 40, 3)
    # Colours between pixels are mixed.
    assert len(np.unique(large[0, :, 0])) > 5
