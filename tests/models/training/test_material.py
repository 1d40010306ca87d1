"""Training on a folder of photographs: the split by file, tiles at random places, the record."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_recipe import TINY

from models.preprocessing.folder import scan
from models.preprocessing.record import read_record
from models.preprocessing.splitting import split_pictures
from models.schema.errors import DataError
from models.schema.preprocessing import PictureRule
from models.training.batches import CropBatches
from models.training.recipe import parse_recipe
from models.training.run import train

CPU = torch.device("cpu")
RULE = {
    "mode": "grey",
    "size": {"rule": "scale", "factor": 0.5},
    "tile": [8, 8],
    "stride": [8, 8],
    "levels": 17,
}


def put(folder, name, seed, size=(24, 32)):
    """A noisy photograph."""
    levels = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(levels).save(path)


@pytest.fixture
def folder(tmp_path):
    for seed in range(12):
        put(tmp_path / "parts", f"line-{seed % 4}/{seed:02}.png", seed, (24, 32 + seed))
    return tmp_path / "parts"


def recipe(folder, **data):
    split = {"train": 5, "density": 3, "calibration": 4}
    settings = TINY | {
        "data": {"source": str(folder), "split": split} | data,
        "preprocessing": RULE,
    }
    return parse_recipe(settings, "recipe")


def test_a_folder_becomes_a_checkpoint_that_records_its_pictures(folder, tmp_path):
    manifest = train(recipe(folder, shift=2), tmp_path / "out", CPU, "")
    assert manifest.preprocessing == PictureRule.model_validate(RULE)
    assert (manifest.data.source, str(tmp_path) in manifest.model_dump_json()) == ("parts", False)
    assert {part: one.count for part, one in manifest.data.split.items()} == {
        "train": 5,
        "density": 3,
        "calibration": 4,
    }
    record = read_record(tmp_path / "out")
    assert record.rule == manifest.preprocessing.digest
    digests = [digest for part in record.parts.values() for digest in part]
    assert len({*digests}) == len(digests) == 12


def test_a_broken_photograph_is_left_out_and_the_others_stay_where_they_were(folder, tmp_path):
    train(recipe(folder), tmp_path / "whole", CPU, "")
    victim = sorted(folder.rglob("*.png"))[5]
    content = io.BytesIO(victim.read_bytes()).getvalue()
    victim.write_bytes(content[: len(content) // 2])
    train(recipe(folder), tmp_path / "broken", CPU, "")
    whole, broken = (read_record(tmp_path / name).parts for name in ("whole", "broken"))
    lost = {part: {*whole[part]} - {*broken[part]} for part in whole}
    assert sum(map(len, lost.values())) == 1
    assert all({*broken[part]} <= {*whole[part]} for part in whole)


def test_the_same_pixels_are_never_in_two_parts(folder, tmp_path, capsys):
    """Though the files differ: every photograph lies there as PNG and as BMP."""
    for path in sorted(folder.rglob("*.png")):
        Image.open(path).save(path.with_suffix(".bmp"))
    split = {"train": 10, "density": 6, "calibration": 8}
    train(recipe(folder, split=split), tmp_path / "out", CPU, "")
    parts = read_record(tmp_path / "out").parts
    digests = [digest for part in parts.values() for digest in part]
    assert len({*digests}) == len(digests) == 12
    assert "left out, same pixels as another picture: " in capsys.readouterr().err


def test_groups_are_never_divided(folder):
    photographs = scan(folder).photographs
    parts = split_pictures(photographs, {"train": 5, "calibration": 3}, 0, r"line-\d")
    lines = [{one.name.partition("/")[0] for one in part} for part in parts.values()]
    assert not lines[0] & lines[1]
    assert [len(part) for part in parts.values()] == [6, 3]
    with pytest.raises(DataError, match=r"12 in 4 groups, and 0 of 3 are left for calibration"):
        split_pictures(photographs, {"train": 10, "calibration": 3}, 0, r"line-\d")


def test_the_split_depends_on_its_seed_and_hardly_on_pictures_added_later(folder):
    sizes = {"train": 6, "calibration": 6}
    first = split_pictures(scan(folder).photographs, sizes, 0)
    assert first != split_pictures(scan(folder).photographs, sizes, 1)
    put(folder, "line-9/new.png", 99)
    second = split_pictures(scan(folder).photographs, sizes, 0)
    moved = {one.name for one in first["train"]} ^ {one.name for one in second["train"]}
    assert len(moved) <= 2


def test_tiles_of_training_lie_anywhere():
    """Every place of two pictures of unequal size is met, and beyond the edges with a shift."""
    one = np.arange(10 * 9, dtype=np.uint8).reshape(10, 9, 1)
    two = 128 + np.arange(8 * 8, dtype=np.uint8).reshape(8, 8, 1)
    rule = PictureRule.model_validate(RULE)
    batches = CropBatches([one, two], rule, 0, CPU)
    firsts = [int(tile[0, 0, 0]) for step in range(50) for tile in batches.batch(step, 8, 0)]
    assert {*firsts} == {0, 1, 9, 10, 18, 19, 128}
    assert 30 < sum(first == 128 for first in firsts) < 90
    for tile in batches.batch(0, 8, 0):
        first = int(tile[0, 0, 0])
        picture = one if first < 128 else two
        y, x = divmod(first % 128, picture.shape[1])
        assert np.array_equal(tile[0], picture[y : y + 8, x : x + 8, 0])
    assert torch.equal(batches.batch(3, 8, 1), batches.batch(3, 8, 1))
    assert not torch.equal(batches.batch(3, 8, 1), batches.batch(3, 8, 2))
    shifted = CropBatches([two], rule, 1, CPU)
    tiles = torch.cat([shifted.batch(step, 8, 0) for step in range(9)])
    assert any((tile[0, 0] == tile[0, 1]).all() for tile in tiles)
    assert {int(tile[0, 4, 4]) for tile in tiles} == {
        128 + 8 * y + x for y in (3, 4, 5) for x in (3, 4, 5)
    }


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"preprocessing": RULE | {"levels": 256}}, "vocabulary has 17"),
        ({"preprocessing": None, "data": TINY["data"] | {"shift": 1}}, "need [preprocessing]"),
        ({"data": TINY["data"] | {"group": "("}}, "group is no regular expression"),
        ({"data": TINY["data"] | {"test_source": "a", "split": {"train": 2}}}, "for arrays"),
    ],
)
def test_recipes_that_contradict_themselves(changes, fault):
    with pytest.raises(DataError) as caught:
        parse_recipe(TINY | {"preprocessing": RULE} | changes, "recipe")
    assert fault in str(caught.value)
