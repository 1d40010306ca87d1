"""Regions and overlays in answers of POST /v1/anomalies, of images and of photographs."""

import base64
import io
from typing import Any

import api_double
import httpx
import numpy as np
import pytest
from api_double import CONFIG, EXECUTION, Service, manifest, npy
from PIL import Image
from small_calibration import small_levels

from models.anomaly.overlay import overlay
from models.anomaly.picture_heat import picture_heat, picture_peaks
from models.anomaly.pictures import PictureReference
from models.anomaly.readings import Reading
from models.anomaly.regions import Peaks, find_regions
from models.preprocessing.tiles import cut_all, read_picture
from models.schema.preprocessing import PictureRule, Size
from service.jobs import Job, Outcome, Tokens
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask

pytestmark = pytest.mark.anyio

WHOLE = Size(4, 3)
SHA = manifest("tiny", CONFIG).sha256
CALIBRATION = small_levels(SHA, CONFIG)
# Pictures of 16 by 12 become 8 by 6 and have six tiles of 4 by 3, three down and two across.
RULE = PictureRule.model_validate(
    {
        "mode": "grey",
        "size": {"rule": "scale", "factor": 0.5},
        "tile": (4, 3),
        "stride": (2, 3),
        "levels": 17,
    }
)
PHOTOS = manifest("photos", CONFIG, preprocessing=RULE.model_dump())


def level_reading(image: Tokens) -> Reading:
    """Heat where the image is bright: eps is the token's share of the vocabulary, times four."""
    if image.max() == 16 and image.min() == 16:
        return Reading(3, reason="too wild")
    levels = np.repeat(image[None] / 4, 3, axis=0).astype(np.float16)
    return Reading(3, {"latent_mass": -0.5}, levels=levels)


def compute(job: Job) -> Outcome:
    assert isinstance(job.task, AnomalyTask)
    return AnomalyResult(tuple(map(level_reading, job.task.images)), EXECUTION)


def stored(levels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    return file.getvalue()


def photograph(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 60, (16, 12), dtype=np.uint8)


def for_photographs() -> Any:
    tiles, tiling = cut_all([read_picture(stored(photograph(i)), RULE) for i in range(30)], RULE)
    peaks = picture_peaks(CALIBRATION, list(map(level_reading, tiles)), tiles, tiling)
    pictures = PictureReference(
        rule=RULE.digest,
        aggregate="max",
        pictures=30,
        failed=0,
        sha256="0" * 64,
        density_pictures=30,
        density_sha256="1" * 64,
        same_source=False,
        scores=tuple(map(float, range(30))),
    )
    changes = {"pictures": pictures, "peaks": Peaks.of(peaks), "checkpoint": PHOTOS.sha256}
    return CALIBRATION.model_copy(update=changes)


PICTURES = for_photographs()


@pytest.fixture(autouse=True)
def by_levels(service: Service) -> None:
    service.catalogue.add(manifest("tiny", CONFIG), EXECUTION, CALIBRATION)
    service.catalogue.add(PHOTOS, EXECUTION, PICTURES)
    service.worker.checkpoints.append(PHOTOS.sha256)
    service.worker.answer = compute


def images(*levels: int) -> Tokens:
    """Dark images, each with a block of one level."""
    tokens = np.zeros((len(levels), 4, 3, 1), np.uint8)
    tokens[np.arange(len(levels)), 1:3, 0:2, 0] = np.array(levels)[:, None, None]
    return tokens


async def judged(client: httpx.AsyncClient, tokens: Tokens, **query: Any) -> list[dict[str, Any]]:
    response = await client.post(
        "/v1/anomalies",
        content=npy(tokens),
        headers={"Content-Type": "application/x-npy"},
        params={"model": "tiny", **query},
    )
    assert response.status_code == 200, response.text
    rows: list[dict[str, Any]] = response.json()["results"]
    return rows


async def seen(client: httpx.AsyncClient, levels: np.ndarray, **more: Any) -> dict[str, Any]:
    image = base64.b64encode(stored(levels)).decode()
    response = await client.post(
        "/v1/anomalies", json={"model": "photos", "images": [image], **more}
    )
    assert response.status_code == 200, response.text
    (row,) = response.json()["results"]
    assert isinstance(row, dict)
    return row


async def test_regions_come_unasked_in_the_image_s_pixels(client: httpx.AsyncClient) -> None:
    tokens = images(16, 0)
    bright, dark = await judged(client, tokens)
    assert dark["regions"] == []
    heat = CALIBRATION.heatmap(level_reading(tokens[0]), tokens[0])
    assert heat is not None
    (expected,) = find_regions(heat.values, -1.0, 1.0)
    ((_, p_value),) = CALIBRATION.regions(heat) or ()
    assert bright["regions"] == [
        {
            "x": expected.x,
            "y": expected.y,
            "width": expected.width,
            "height": expected.height,
            "area": expected.area,
            "p_value": p_value,
        }
    ]
    assert "heatmap" not in bright


async def test_an_image_that_failed_has_no_regions(client: httpx.AsyncClient) -> None:
    (failed,) = await judged(client, np.full((1, 4, 3, 1), 16, np.uint8), heatmap="overlay")
    assert failed["status"] == "failed"
    assert not {"regions", "heatmap"} & failed.keys()


@pytest.mark.parametrize(
    ("calibration", "answer"),
    [
        (CALIBRATION.model_copy(update={"peaks": None}), compute),
        (api_double.CALIBRATION, api_double.compute),
    ],
)
async def test_calibrations_that_know_no_regions(
    client: httpx.AsyncClient, service: Service, calibration: Any, answer: Any
) -> None:
    service.catalogue.add(manifest("tiny", CONFIG), EXECUTION, calibration)
    service.worker.answer = answer
    for row in await judged(client, images(9, 0), heatmap="overlay"):
        assert "regions" not in row
        assert "heatmap" in row


async def test_an_overlay_is_the_image_in_colour(client: httpx.AsyncClient) -> None:
    tokens = images(16, 5)
    for row, image in zip(await judged(client, tokens, heatmap="overlay"), tokens, strict=True):
        heat = CALIBRATION.heatmap(level_reading(image), image)
        assert heat is not None
        content = base64.b64decode(row["heatmap"])
        assert content == overlay(image, 17, heat, WHOLE)
        assert Image.open(io.BytesIO(content)).mode == "RGB"


async def test_regions_of_a_photograph_are_in_its_own_pixels(client: httpx.AsyncClient) -> None:
    levels = photograph(99)
    levels[4:8, 4:8] = 250
    row = await seen(client, levels, heatmap="overlay")
    tiles, _ = cut_all([read_picture(stored(levels), RULE)], RULE)
    heat = picture_heat(PICTURES, list(map(level_reading, tiles)), tiles, RULE, Size(8, 6))
    assert heat is not None
    first, *_ = find_regions(heat.values, -1.0, 1.0)
    box = row["regions"][0]
    assert (box["x"], box["y"]) == (2 * first.x, 2 * first.y)
    assert (box["width"], box["height"]) == (2 * first.width, 2 * first.height)
    assert box["area"] == 4 * first.area
    # It lies over the bright block, which crosses the edges of tiles.
    assert box["x"] <= 4 < 8 <= box["x"] + box["width"]
    assert box["y"] <= 4 < 8 <= box["y"] + box["height"]
    assert box["p_value"] == pytest.approx(1 / 31)
    drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(row["heatmap"]))))
    assert drawn.shape == (16, 12, 3)
    assert drawn[5:7, 5:7, 0].min() > drawn[5:7, 5:7, 2].max() + 80


async def test_a_photograph_like_the_others_has_no_rare_region(client: httpx.AsyncClient) -> None:
    values = []
    for seed in range(100, 120):
        row = await seen(client, photograph(seed))
        values.append(min((one["p_value"] for one in row["regions"]), default=1.0))
    assert np.mean(np.array(values) <= 0.2) < 0.5


async def test_a_form_that_does_not_exist(client: httpx.AsyncClient) -> None:
    response = await client.post(
        "/v1/anomalies",
        content=npy(images(1)),
        headers={"Content-Type": "application/x-npy"},
        params={"model": "tiny", "heatmap": "boxes"},
    )
    assert response.status_code == 422
