"""The evaluation on photographs of defects: tiles and masks, baselines, overlaps and intervals."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.evaluation.anomalies.baselines import Judged, learn_baselines
from models.evaluation.anomalies.bootstrap import Resamples
from models.evaluation.anomalies.collection import Collection, collect
from models.evaluation.anomalies.detectors import Found, measure
from models.evaluation.anomalies.inspection import by_aggregates
from models.evaluation.anomalies.overlap import Overlaps
from models.files.images import Tokens
from models.preprocessing.folder import scan
from models.preprocessing.loading import LoadedPicture, load_pictures
from models.preprocessing.tiles import cut_all
from models.schema.errors import DataError
from models.schema.preprocessing import PictureRule, Scale

DICE = np.random.default_rng(0)
SIDE = 8
RULE = PictureRule(
    version=1, mode="grey", size=Scale(factor=0.5), tile=(SIDE, SIDE), stride=(SIDE, SIDE)
)
GOOD = DEFECTIVE = 10
RESAMPLES = Resamples(GOOD, DEFECTIVE, seed=0)


def plain(height: int, width: int) -> Tokens:
    """A smooth ground with a little noise."""
    ground = 100 + 40 * np.sin(np.arange(width) / 9) + 3 * DICE.standard_normal((height, width))
    return ground.round().astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten good pictures, and ten with a bright spot of 3x3 pixels, at twice the size."""
    root = tmp_path_factory.mktemp("pictures")
    for name in ("good", "defect/spot", "mask/spot"):
        (root / name).mkdir(parents=True)

    def save(pixels: Tokens, path: str) -> None:
        Image.fromarray(pixels.repeat(2, axis=0).repeat(2, axis=1)).save(root / path)

    for index in range(GOOD):
        save(plain(19, 27), f"good/{index}.png")
    for index in range(DEFECTIVE):
        broken, mask = plain(19, 27), np.zeros((19, 27), np.uint8)
        y, x = DICE.integers(0, [16, 24])
        broken[y : y + 3, x : x + 3] = 230
        mask[y : y + 3, x : x + 3] = 255
        save(broken, f"defect/spot/{index}.bmp")
        save(mask, f"mask/spot/{index}_mask.png")
    return root


def load(place: Path) -> list[LoadedPicture]:
    found = scan(place)
    return load_pictures(found.photographs, RULE, found)


@pytest.fixture(scope="module")
def collection(folder: Path) -> Collection:
    return collect(load(folder / "good"), load(folder / "defect"), RULE, folder / "mask")


def test_tiles_cover_each_picture_and_masks_lie_on_their_defects(collection: Collection) -> None:
    masks = collection.masks
    assert masks is not None
    assert (collection.good, len(masks)) == (GOOD, GOOD + DEFECTIVE)
    assert collection.tiles.shape == (len(masks) * 3 * 4, SIDE, SIDE, 1)
    marked = collection.marked(masks).reshape(len(masks), -1)
    stitched = collection.stitch(collection.tiles[..., 0].astype(np.float64))
    for whole, mask in zip(stitched, masks, strict=True):
        assert whole.shape == mask.shape == (19, 27)
        assert (whole[mask] == 230).all()
        assert not (whole[~mask] == 230).any()
    assert all(mask.sum() == 9 for mask in masks[GOOD:])
    assert not any(mask.any() for mask in masks[:GOOD])
    assert marked[GOOD:].any(1).all()
    assert not marked[:GOOD].any()


def test_pixels_that_no_tile_covers_count_nowhere(folder: Path) -> None:
    rule = RULE.model_copy(update={"edges": "crop"})
    found = collect(load(folder / "good"), load(folder / "defect"), rule, folder / "mask")
    assert len(found.tiles) == (GOOD + DEFECTIVE) * 2 * 3
    maps = DICE.random((len(found.tiles), SIDE, SIDE))
    assert {whole.shape for whole in found.stitch(maps)} == {(16, 24)}
    overlap = measure(found, Judged(maps.max((1, 2)), maps), "max", RESAMPLES).overlap
    assert overlap is not None
    assert overlap.low < 0.15 < overlap.high


def test_masks_that_are_missing_or_of_another_size_are_refused(
    folder: Path, tmp_path: Path
) -> None:
    bad = load(folder / "defect")
    with pytest.raises(DataError, match=r"spot/0\.bmp has no mask in"):
        collect([], bad, RULE, tmp_path)
    (tmp_path / "spot").mkdir()
    for index in range(DEFECTIVE):
        Image.new("L", (54, 37)).save(tmp_path / "spot" / f"{index}.png")
    with pytest.raises(DataError, match=r"0\.png: a mask of another size than its picture"):
        collect([], bad, RULE, tmp_path)
    (tmp_path / "spot" / "0.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"0\.png: no picture that can be read"):
        collect([], bad, RULE, tmp_path)


def test_every_baseline_finds_a_spot(collection: Collection) -> None:
    more = [plain(SIDE, 400).reshape(SIDE, -1, SIDE).transpose(1, 0, 2) for _ in range(8)]
    tiles = np.concatenate([collection.tiles[: GOOD * 12], np.concatenate(more)[..., None]])
    baselines = learn_baselines(tiles, seed=0)
    assert len(baselines) == 5
    for name, detector in baselines.items():
        one = measure(collection, detector(collection.tiles), "max", RESAMPLES)
        assert one.pictures.value > 0.95, name
        assert one.tiles is not None
        # A tile with a spot has the contrast of one with a spot, which explains its errors.
        assert "given" in name or one.tiles.value > 0.7, name
        assert one.overlap is None or one.overlap.value > 0.7, name


def test_a_perfect_detector_and_a_blind_one(collection: Collection) -> None:
    assert collection.masks is not None
    shown = [
        mask[y : y + SIDE, x : x + SIDE]
        for mask in collection.masks
        for y, x in [(y, x) for y in (0, 8, 11) for x in (0, 8, 16, 19)]
    ]

    def found(noise: float) -> Found:
        maps = np.stack([one + noise * DICE.standard_normal((SIDE, SIDE)) for one in shown])
        return measure(collection, Judged(maps.max((1, 2)), maps), "max", RESAMPLES)

    perfect, blind = found(0.01), found(1e6)
    for figure in (perfect.tiles, perfect.pictures, perfect.overlap):
        assert figure is not None
        assert figure.value == pytest.approx(1, abs=0.01)
    assert blind.tiles is not None
    assert blind.tiles.low < 0.5 < blind.tiles.high
    assert blind.pictures.low < 0.5 < blind.pictures.high


def test_pictures_alone_are_compared_without_masks(folder: Path) -> None:
    found = collect(load(folder / "good"), load(folder / "defect"), RULE, None)
    one = measure(found, Judged(found.tiles.max((1, 2, 3)), None), "max", RESAMPLES)
    assert one.pictures.value == 1
    assert (one.tiles, one.overlap) == (None, None)


def test_aggregates_are_compared_by_the_same_scores(collection: Collection, folder: Path) -> None:
    """One strange tile of twelve is seen by the largest score, and hardly by the mean of all."""
    _, tiling = cut_all([one.picture for one in load(folder / "good")], RULE)
    scores = DICE.standard_normal(len(collection.tiles))
    scores.reshape(-1, 12)[GOOD:, 0] += 6
    usual = DICE.standard_normal(GOOD * 12)
    found = by_aggregates((usual, tiling), (scores, collection), "max", 20, RESAMPLES, 0)
    assert found["max"].pictures.value > found["mean"].pictures.value
    assert found["max"].pictures.value > 0.9
    for one in found.values():
        assert (one.promise.calibration, one.promise.good, one.promise.defective) == (10, 10, 10)


def test_a_random_map_overlaps_as_often_as_it_alarms() -> None:
    maps = list(DICE.random((20, 40, 40)))
    mask = np.zeros((40, 40), bool)
    mask[:10, :10] = mask[20:30, 20:35] = True
    overlaps = Overlaps(maps, [mask] * 20)
    # The mean overlap up to a false-alarm rate of 0.3 is 0.15.
    assert overlaps.area() == pytest.approx(0.15, abs=0.02)
    assert overlaps.area(np.array([0, 1, 1])) == pytest.approx(0.15, abs=0.05)
    shining = [one + 2 * mask for one in maps]
    assert Overlaps(shining, [mask] * 20).area() == pytest.approx(1)
