"""POST /v1/anomalies: verdicts by the model's calibration, and refusals before any work."""

import base64
import io
import math
from typing import Any

import httpx
import numpy as np
import pytest
from api_double import CALIBRATION, EXECUTION, Service, assert_problem, npy, png, reading_of
from PIL import Image

from models.anomaly.readings import Reading
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask
from service.settings import Settings

pytestmark = pytest.mark.anyio

LEVELS = np.array([round(255 * v / 16) for v in range(17)], np.uint8)
DARK = np.random.default_rng(0).integers(0, 9, (2, 4, 3, 1), dtype=np.uint8)
TOKENS = np.concatenate([DARK, np.full((1, 4, 3, 1), 16, np.uint8)])
PNGS = [png(LEVELS[image[..., 0]]) for image in TOKENS]
NPY = {"Content-Type": "application/x-npy"}


async def post(client: httpx.AsyncClient, **more: Any) -> httpx.Response:
    images = [base64.b64encode(content).decode() for content in PNGS]
    return await client.post("/v1/anomalies", json={"model": "tiny", "images": images} | more)


async def post_npy(client: httpx.AsyncClient, content: bytes, **query: Any) -> httpx.Response:
    params = {"model": "tiny"} | query
    return await client.post("/v1/anomalies", content=content, headers=NPY, params=params)


async def test_each_image_has_a_verdict(client: httpx.AsyncClient, service: Service) -> None:
    body = (await post(client, alpha=0.1, seed=9)).json()
    job = service.worker.jobs[0]
    assert isinstance(job.task, AnomalyTask)
    assert (job.task.solver, job.task.seed) == (CALIBRATION.solver, 9)
    assert (body["id"], body["model"], body["checkpoint"]) == (job.id, "tiny", job.checkpoint)
    assert body["settings"] == {
        "alpha": 0.1,
        "seed": 9,
        "solver": CALIBRATION.solver.model_dump(),
        "calibration_images": 40,
    }
    expected = CALIBRATION.judge([reading_of(image) for image in TOKENS], TOKENS)
    for index, (row, verdict) in enumerate(zip(body["results"], expected, strict=True)):
        assert (row["index"], row["status"], row["nfe"]) == (index, "ok", 39)
        assert row["score"] == pytest.approx(verdict.score)
        assert row["p_value"] == verdict.p_value
        assert row["is_anomaly"] == (verdict.p_value <= 0.1)
        assert row["statistics"] == pytest.approx(verdict.statistics)
        assert not {"heatmap", "reason"} & row.keys()
    assert body["results"][2]["is_anomaly"]
    assert body["results"][2]["p_value"] == pytest.approx(1 / 41)


async def test_every_way_in_gives_the_same_verdicts(client: httpx.AsyncClient) -> None:
    files = [("images", (f"{i}", content)) for i, content in enumerate(PNGS)]
    form = {"model": "tiny", "heatmap": "true", "alpha": "0.1"}
    answers = [
        await post(client, heatmap=True, alpha=0.1),
        await post_npy(client, npy(TOKENS), heatmap="true", alpha="0.1"),
        await client.post("/v1/anomalies", files=files, data=form),
    ]
    assert [answer.status_code for answer in answers] == [200] * 3
    first, *others = (answer.json()["results"] for answer in answers)
    assert all(other == first for other in others)


async def test_a_heatmap_is_a_picture_of_the_contribution(client: httpx.AsyncClient) -> None:
    rows = (await post(client, heatmap=True)).json()["results"]
    for row, image in zip(rows, TOKENS, strict=True):
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(row["heatmap"]))))
        np.testing.assert_array_equal(shown, np.rint(255 * (image / image.max())[..., 0]))


async def test_failed_images_have_a_reason_and_are_flagged(
    client: httpx.AsyncClient, service: Service
) -> None:
    readings = (Reading(39, reason="too wild"), Reading(39, {**told(), "log_prior": 1e300}))
    service.worker.answer = lambda job: AnomalyResult(readings, EXECUTION)
    response = await post_npy(client, npy(TOKENS[:2]), heatmap="true")
    first, second = response.json()["results"]
    assert (first["status"], first["reason"]) == ("failed", "too wild")
    assert (second["status"], second["reason"]) == ("failed", "the score is not finite")
    for row in (first, second):
        assert row["score"] is None
        assert (row["p_value"], row["is_anomaly"]) == (pytest.approx(1 / 41), True)
        assert row["statistics"] == {}
        assert "heatmap" not in row
    assert "NaN" not in response.text
    assert "Infinity" not in response.text


def told() -> dict[str, float]:
    values = reading_of(TOKENS[0]).values
    assert values is not None
    return values


async def test_a_heatmap_of_no_kind_is_one_fault(client: httpx.AsyncClient) -> None:
    for answer in (
        await post(client, heatmap="green"),
        await post_npy(client, npy(TOKENS), heatmap="green"),
    ):
        problem: Any = assert_problem(answer, 422, "invalid-request")
        assert [entry["field"] for entry in problem["errors"]] == ["heatmap"]
        assert "should be true, false, raw or overlay" in problem["detail"]


@pytest.mark.parametrize("alpha", [0, 1, -0.5, 1.5, math.nan, "much"])
async def test_an_alpha_that_is_no_rate(
    client: httpx.AsyncClient, service: Service, alpha: Any
) -> None:
    if alpha == alpha:
        assert_problem(await post(client, alpha=alpha), 422, "invalid-request")
    problem: Any = assert_problem(
        await post_npy(client, npy(TOKENS), alpha=str(alpha)), 422, "invalid-request"
    )
    assert [entry["field"] for entry in problem["errors"]] == ["alpha"]
    assert not service.worker.jobs


async def test_an_alpha_below_every_p_value(client: httpx.AsyncClient, service: Service) -> None:
    problem: Any = assert_problem(await post(client, alpha=0.024), 422, "invalid-request")
    assert "at least 1/(m + 1) = 0.0244, with m = 40" in problem["detail"]
    assert [entry["field"] for entry in problem["errors"]] == ["alpha"]
    assert not service.worker.jobs
    assert (await post(client, alpha=1 / 41)).status_code == 200


async def test_a_model_without_calibration(client: httpx.AsyncClient, service: Service) -> None:
    problem = assert_problem(await post(client, model="colour"), 422, "calibration-missing")
    assert "colour has no calibration" in str(problem["detail"])
    assert not service.worker.jobs


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (npy(TOKENS.transpose(0, 2, 1, 3)), 422, "wrong-image-shape"),
        (npy(TOKENS.astype(np.float32)), 422, "wrong-dtype"),
        (npy(TOKENS + 1), 422, "invalid-pixel-value"),
        (npy(TOKENS[:0]), 422, "invalid-request"),
        (npy(np.repeat(TOKENS, 400, 0)), 413, "too-many-images"),
        (PNGS[0], 400, "malformed-body"),
    ],
)
async def test_bad_images_are_refused(
    client: httpx.AsyncClient, service: Service, content: bytes, status: int, code: str
) -> None:
    assert_problem(await post_npy(client, content), status, code)
    assert not service.worker.jobs


@pytest.mark.parametrize("field", ["probes", "steps", "tolerance_nats", "solver"])
async def test_the_solver_is_the_calibration_s(
    client: httpx.AsyncClient, service: Service, field: str
) -> None:
    problem: Any = assert_problem(await post(client, **{field: 3}), 422, "invalid-request")
    assert [entry["field"] for entry in problem["errors"]] == [field]
    assert not service.worker.jobs


@pytest.mark.parametrize("settings", [Settings(max_row_evaluations=100)])
async def test_too_costly_a_request(
    client: httpx.AsyncClient, service: Service, settings: Settings
) -> None:
    problem = assert_problem(await post(client), 422, "request-too-expensive")
    price = (
        "234 row-evaluations predicted (images x (1 + probes) x steps = 3 x 2 x 39); at most 100"
    )
    assert problem["detail"] == price
    assert not service.worker.jobs
    assert (await post_npy(client, npy(TOKENS[:1]))).status_code == 200


async def test_a_model_says_what_its_verdicts_rest_on(client: httpx.AsyncClient) -> None:
    shown = (await client.get("/v1/models/tiny")).json()["calibration"]
    assert shown["smallest_alpha"] == pytest.approx(1 / 41)
    assert shown["solver"] == CALIBRATION.solver.model_dump()
    assert shown["calibration_images"]["images"] == 40
    assert "score" not in shown
    assert (await client.get("/v1/models/colour")).json()["calibration"] is None
