"""GET /v1/models/{name}/calibration, and the deviations of a verdict's statistics."""

import httpx
import numpy as np
import pytest
from api_double import CALIBRATION, Service, assert_problem, npy

pytestmark = pytest.mark.anyio


async def test_the_scores_that_p_values_rest_on(client: httpx.AsyncClient) -> None:
    found = (await client.get("/v1/models/tiny/calibration")).json()
    assert found["scores"] == list(CALIBRATION.scores)
    assert (found["ranked"], found["failed"]) == ("images", 0)
    assert found["smallest_alpha"] == pytest.approx(1 / 41)
    assert [one["name"] for one in found["statistics"]] == list(CALIBRATION.reported)
    image = np.full((1, 4, 3, 1), 9, np.uint8)
    answer = await client.post(
        "/v1/anomalies",
        params={"model": "tiny"},
        content=npy(image),
        headers={"Content-Type": "application/x-npy"},
    )
    (verdict,) = answer.json()["results"]
    beyond = sum(score >= verdict["score"] for score in found["scores"])
    assert verdict["p_value"] == pytest.approx((1 + beyond) / (len(found["scores"]) + 1))


async def test_deviations_are_those_of_the_calibration(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/v1/anomalies",
        params={"model": "tiny"},
        content=npy(np.full((1, 4, 3, 1), 9, np.uint8)),
        headers={"Content-Type": "application/x-npy"},
    )
    (verdict,) = answer.json()["results"]
    density = CALIBRATION.density
    place = density.names.index("log_prior")
    expected = (verdict["statistics"]["log_prior"] - density.mean[place]) / density.scale[place]
    assert verdict["deviations"]["log_prior"] == pytest.approx(expected)
    assert verdict["deviations"].keys() == set(density.names)


async def test_models_without_a_calibration(client: httpx.AsyncClient, service: Service) -> None:
    assert_problem(await client.get("/v1/models/colour/calibration"), 422, "calibration-missing")
    assert_problem(await client.get("/v1/models/none/calibration"), 404, "unknown-model")
