"""POST /v1/anomalies by a calibration of levels: power, heatmaps in one scale, raw values."""

import base64
import io
from typing import Any

import api_double
import httpx
import numpy as np
import pytest
from api_double import CONFIG, EXECUTION, Service, manifest, npy, reading_of
from PIL import Image
from small_calibration import small_levels

from models.anomaly.readings import Reading
from service.jobs import Job, Outcome, Tokens
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask

pytestmark = pytest.mark.anyio

TOKENS = np.random.default_rng(0).integers(0, 17, (3, *CONFIG.image_shape), dtype=np.uint8)
SHA = manifest("tiny", CONFIG).sha256
CALIBRATION = small_levels(SHA, CONFIG)


def level_reading(image: Tokens) -> Reading:
    dice = np.random.default_rng(int(image.sum()))
    levels = dice.standard_normal((3, *image.shape)).astype(np.float16)
    return Reading(3, {"latent_mass": -0.5}, levels=levels)


def compute(job: Job) -> Outcome:
    assert isinstance(job.task, AnomalyTask)
    return AnomalyResult(tuple(map(level_reading, job.task.images)), EXECUTION)


@pytest.fixture(autouse=True)
def by_levels(service: Service) -> None:
    service.catalogue.add(manifest("tiny", CONFIG), EXECUTION, CALIBRATION)
    service.worker.answer = compute


async def post(client: httpx.AsyncClient, **query: Any) -> Any:
    response = await client.post(
        "/v1/anomalies",
        content=npy(TOKENS),
        headers={"Content-Type": "application/x-npy"},
        params={"model": "tiny", **query},
    )
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_verdict_has_its_statistics_and_the_power(client: httpx.AsyncClient) -> None:
    body = await post(client)
    assert body["settings"]["solver"] == {"name": "levels", "levels": 3}
    assert body["power"] == CALIBRATION.power.model_dump(mode="json")
    expected = CALIBRATION.judge(list(map(level_reading, TOKENS)), TOKENS)
    for row, verdict in zip(body["results"], expected, strict=True):
        assert (row["status"], row["nfe"]) == ("ok", 3)
        assert row["score"] == pytest.approx(verdict.score)
        assert set(row["statistics"]) == set(CALIBRATION.reported)
        assert "heatmap" not in row


async def test_heatmaps_share_one_scale_and_come_raw(client: httpx.AsyncClient) -> None:
    drawn, raw = [
        [base64.b64decode(row["heatmap"]) for row in (await post(client, heatmap=form))["results"]]
        for form in ("true", "raw")
    ]
    for png, stored, image in zip(drawn, raw, TOKENS, strict=True):
        values = np.load(io.BytesIO(stored))
        heat = CALIBRATION.heatmap(level_reading(image), image)
        assert heat is not None
        np.testing.assert_allclose(values, heat.values, rtol=1e-6)
        # Black is -1 and white is 1.
        levels = np.rint(255 * (heat.values + 1) / 2).clip(0, 255)
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), levels)


async def test_a_model_tells_what_its_calibration_can_see(client: httpx.AsyncClient) -> None:
    told = (await client.get("/v1/models/tiny")).json()["calibration"]
    assert told["power"]["all"]["auroc"] == CALIBRATION.power.all.auroc
    assert told["solver"] == {"name": "levels", "levels": 3}
    assert told["statistics"] == list(CALIBRATION.names)


async def test_a_calibration_by_the_path_has_no_power_and_raw_contributions(
    client: httpx.AsyncClient, service: Service
) -> None:
    service.catalogue.add(manifest("tiny", CONFIG), EXECUTION, api_double.CALIBRATION)
    service.worker.answer = api_double.compute
    body = await post(client, heatmap="raw")
    assert "power" not in body
    for row, image in zip(body["results"], TOKENS, strict=True):
        contribution = reading_of(image).contribution
        assert contribution is not None
        values = np.load(io.BytesIO(base64.b64decode(row["heatmap"])))
        np.testing.assert_allclose(values, contribution.sum(-1))
