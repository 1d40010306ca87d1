"""From photographs to tokens: the same scene in every form is the same tiles."""

import numpy as np
import pytest
from photographs import FORMATS, encode, photograph, rule, scene, turned
from PIL import Image
from pydantic import ValidationError

from models.preprocessing.levels import quantise
from models.preprocessing.stitching import enlarge, paste, stitch
from models.preprocessing.tiles import count_tiles, cut, cut_all, read_picture
from models.schema.manifest import Manifest
from models.schema.preprocessing import PictureRule, Size

WHOLE = rule(size={"rule": "scale", "factor": 1})


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_holds_the_scene(form):
    found = read_picture(photograph(form), WHOLE).tokens.astype(int)
    most = 16 if form == "JPEG" else 0
    assert np.abs(found - scene()).max() <= most


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_obeyed(form, orientation):
    picture = read_picture(turned(orientation, form), WHOLE)
    assert picture.size == (40, 60)
    assert np.abs(picture.tokens.astype(int) - scene()).mean() < 4


def test_alpha_is_put_on_the_stated_ground():
    colours = np.dstack([scene(), np.zeros((40, 60), np.uint8)])
    colours[:20, :, 3] = 255
    for mode in ("RGBA", "LA"):
        image = Image.fromarray(colours).convert(mode)
        found = read_picture(encode(image), rule(ground=(10, 20, 30), size=WHOLE.size)).tokens
        assert (found[20:] == (10, 20, 30)).all()
        assert np.array_equal(found[:20], np.asarray(image.convert("RGB"))[:20])
    palette = Image.fromarray(scene()).quantize(8)
    content = encode(palette, transparency=palette.getpixel((0, 0)))
    assert (read_picture(content, WHOLE).tokens[0, 0] == 255).all()


def test_grey_and_colour_are_converted_by_the_rule():
    image = Image.fromarray(scene())
    grey = rule(mode="grey", size=WHOLE.size)
    expected = np.asarray(image.convert("L"))[..., None]
    assert np.array_equal(read_picture(encode(image), grey).tokens, expected)
    found = read_picture(encode(image.convert("L")), WHOLE).tokens
    assert np.array_equal(found, expected.repeat(3, axis=2))
    bilevel = read_picture(encode(image.convert("1")), grey).tokens
    assert {*np.unique(bilevel)} == {0, 255}


def test_levels_are_rounded_to_the_nearest_token():
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(quantise(levels, 256), levels)
    for count in (2, 17):
        shown = 255 * np.arange(count) / (count - 1)
        nearest = np.abs(levels[:, None] - shown).argmin(axis=1)
        assert np.array_equal(quantise(levels, count), nearest)


def test_tiles_cover_the_picture():
    for settings, count in (
        ({}, 4),
        ({"edges": "crop"}, 1),
        ({"stride": (8, 8)}, 6),
        ({"size": {"rule": "resize", "height": 16, "width": 16}}, 1),
    ):
        one = rule(**settings)
        picture = read_picture(photograph(), one)
        tiles = cut(picture.tokens, one)
        assert tiles.shape == (count, 16, 16, 3)
        assert count_tiles(photograph(), one) == one.tiles(picture.size) == count
        covered = np.zeros(picture.tokens.shape[:2], bool)
        for y, x in one.origins(Size(*covered.shape)):
            covered[y : y + 16, x : x + 16] = True
        assert covered.all() == (settings != {"edges": "crop"})


def test_several_pictures_are_rows_of_one_job():
    small = encode(Image.fromarray(scene(32, 32)))
    tiles, tiling = cut_all([read_picture(one, rule()) for one in (photograph(), small)], rule())
    assert (tiling.sizes, tiling.counts) == (((40, 60), (32, 32)), [4, 1])
    assert tiling.slices() == [slice(0, 4), slice(4, 5)]
    assert np.array_equal(tiles[4:], cut(read_picture(small, rule()).tokens, rule()))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_turned_picture_is_counted_upright(form):
    tall = rule(tile=(16, 8), stride=(16, 8))
    for orientation in range(1, 9):
        content = turned(orientation, form)
        tiles = cut(read_picture(content, tall).tokens, tall)
        assert count_tiles(content, tall) == len(tiles) == 8


@pytest.mark.parametrize("settings", [{}, {"stride": (8, 8)}, {"stride": (5, 7)}])
def test_maps_of_tiles_are_stitched(settings):
    """A picture that is cut into tiles comes back as it was, and an even map stays even."""
    one = rule(size={"rule": "scale", "factor": 1}, **settings)
    picture = scene()[..., 0].astype(np.float32)
    maps = [picture[y : y + 16, x : x + 16] for y, x in one.origins(Size(40, 60))]
    np.testing.assert_allclose(stitch(maps, one, Size(40, 60)), picture, rtol=1e-5)
    half = rule(**settings)
    even = np.ones((half.tiles(Size(40, 60)), 16, 16), np.float32)
    found = enlarge(stitch(even, half, half.scaled(Size(40, 60))), Size(40, 60))
    assert found.shape == (40, 60)
    np.testing.assert_allclose(found, 1, rtol=1e-6)


def test_tiles_become_the_scaled_picture_again():
    for settings in ({}, {"stride": (5, 7)}):
        one = rule(**settings)
        tokens = read_picture(photograph(), one).tokens
        assert np.array_equal(paste(cut(tokens, one), one, Size(*tokens.shape[:2])), tokens)


def test_what_crop_leaves_out_has_the_value_that_is_asked_for():
    one = rule(size={"rule": "scale", "factor": 1}, edges="crop")
    picture = scene()
    found = stitch(np.ones((6, 16, 16)), one, Size(40, 60), outside=-3.0)
    assert (found[:32, :48] == 1).all()
    assert (found[32:] == -3).all()
    assert (found[:, 48:] == -3).all()
    whole = paste(cut(picture, one), one, Size(40, 60))
    assert np.array_equal(whole[:32, :48], picture[:32, :48])
    assert not whole[32:].any()
    assert not whole[:, 48:].any()


def test_the_digest_is_of_the_rule_and_nothing_else():
    same = PictureRule.model_validate_json(rule().model_dump_json())
    assert same.digest == rule().digest
    changed = [
        {"mode": "grey"},
        {"ground": (0, 0, 0)},
        {"size": {"rule": "scale", "factor": 0.25}},
        {"size": {"rule": "scale", "factor": 0.5, "filter": "bicubic"}},
        {"stride": (8, 16)},
        {"edges": "crop"},
        {"levels": 17},
    ]
    digests = {rule(**one).digest for one in changed}
    assert len(digests | {rule().digest}) == len(changed) + 1
    with pytest.raises(ValidationError, match="would leave pixels out"):
        rule(stride=(17, 16))


def test_a_manifest_with_a_rule_that_does_not_fit_is_refused():
    config = {"image_shape": (16, 16, 3), "vocabulary": 256}
    record = {"name": "a", "config": config, "sha256": "0" * 64, "parameters": 1}
    kept = Manifest.model_validate(record | {"preprocessing": rule().model_dump()})
    assert Manifest.model_validate_json(kept.model_dump_json()) == kept
    assert "preprocessing" not in Manifest.model_validate(record).model_dump()
    for other in (rule(levels=17), rule(tile=(8, 8), stride=(8, 8)), rule(mode="grey")):
        with pytest.raises(ValidationError, match="preprocessing makes"):
            Manifest.model_validate(record | {"preprocessing": other.model_dump()})
