"""The evaluation on pictures of defects: tiles and masks, baselines, overlaps and intervals."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.evaluation.anomalies.baselines import Judged, learn_baselines
from models.evaluation.anomalies.cut import Collection, read_collection
from models.evaluation.anomalies.inspection import compare, measure
from models.evaluation.anomalies.overlap import Overlaps
from models.files.images import Tokens
from models.schema.config import ModelConfig
from models.schema.errors import DataError

DICE = np.random.default_rng(0)
SIDE = 8
CONFIG = ModelConfig(image_shape=(SIDE, SIDE, 1), vocabulary=256, latent_size=4, latent_k=1)


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

    for index in range(10):
        save(plain(19, 27), f"good/{index}.png")
        broken, mask = plain(19, 27), np.zeros((19, 27), np.uint8)
        y, x = DICE.integers(0, [16, 24])
        broken[y : y + 3, x : x + 3] = 230
        mask[y : y + 3, x : x + 3] = 255
        save(broken, f"defect/spot/{index}.png")
        save(mask, f"mask/spot/{index}.png")
    return root


@pytest.fixture(scope="module")
def collection(folder: Path) -> Collection:
    return read_collection(folder, CONFIG, shrink=2)


def test_tiles_cover_each_picture_and_masks_lie_on_their_defects(collection: Collection) -> None:
    assert (len(collection.good), len(collection.defective)) == (10, 10)
    for cut in (*collection.good, *collection.defective):
        assert cut.tiles.shape == (3 * 4, SIDE, SIDE, 1)
        stitched = cut.stitch(cut.tiles[..., 0].astype(np.float64))
        assert stitched.shape == cut.mask.shape == (19, 27)
        assert (stitched[cut.mask] == 230).all()
        assert not (stitched[~cut.mask] == 230).any()
    assert all(cut.mask.sum() == 9 and cut.marked.any() for cut in collection.defective)
    assert not any(cut.marked.any() for cut in collection.good)


def test_a_defect_without_a_mask_and_a_missing_folder_are_refused(folder: Path) -> None:
    (folder / "mask/spot/3.png").rename(folder / "mask/spot/33.png")
    with pytest.raises(DataError, match=r"3\.png: no mask mask/spot/3"):
        read_collection(folder, CONFIG, shrink=2)
    (folder / "mask/spot/33.png").rename(folder / "mask/spot/3.png")
    with pytest.raises(DataError, match="no such folder"):
        read_collection(folder / "good", CONFIG, shrink=2)


def test_every_baseline_finds_a_spot(collection: Collection) -> None:
    tiles = np.concatenate([cut.tiles for cut in collection.good] + [
        plain(SIDE, 400).reshape(SIDE, -1, SIDE).transpose(1, 0, 2)[..., None] for _ in range(8)
    ])  # fmt: skip
    found = compare(collection, dict(learn_baselines(tiles, seed=0)), seed=0)
    assert len(found) == 5
    for name, one in found.items():
        assert one.pictures.value > 0.95, name
        assert one.tiles.value > 0.7, name
        assert one.overlap is None or one.overlap.value > 0.7, name


def test_a_perfect_detector_and_a_blind_one(collection: Collection) -> None:
    cuts = [*collection.good, *collection.defective]

    def judged(noise: float) -> list[Judged]:
        maps = [
            np.stack([
                cut.mask[y : y + SIDE, x : x + SIDE] + noise * DICE.standard_normal((SIDE, SIDE))
                for y, x in cut.places.tolist()
            ])
            for cut in cuts
        ]  # fmt: skip
        return [Judged(one.max((1, 2)), one) for one in maps]

    perfect, blind = (measure(collection, judged(noise), seed=0) for noise in (0.01, 1e6))
    assert perfect.overlap is not None
    for figure in (perfect.tiles, perfect.pictures, perfect.overlap):
        assert figure.value == pytest.approx(1, abs=0.01)
    assert blind.tiles.low < 0.5 < blind.tiles.high
    assert blind.pictures.low < 0.5 < blind.pictures.high


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
