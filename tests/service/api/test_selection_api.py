"""Images of a request selected together, and the source that they come from."""

import base64
from typing import Any

import httpx
import numpy as np
import pytest
from api_double import CALIBRATION, EXECUTION, Service, assert_problem, npy, png, reading_of

from models.anomaly.readings import Reading
from models.anomaly.selection import benjamini_hochberg
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask
from service.settings import Settings

pytestmark = pytest.mark.anyio

LEVELS = np.array([round(255 * v / 16) for v in range(17)], np.uint8)
DARK = np.random.default_rng(0).integers(0, 9, (5, 4, 3, 1), dtype=np.uint8)
TOKENS = np.concatenate([DARK, np.full((3, 4, 3, 1), 16, np.uint8)])
PNGS = [png(LEVELS[image[..., 0]]) for image in TOKENS]
NPY = {"Content-Type": "application/x-npy"}


@pytest.fixture
def settings() -> Settings:
    return Settings(sources=("left", "right"))


async def post(client: httpx.AsyncClient, **more: Any) -> httpx.Response:
    images = [base64.b64encode(content).decode() for content in PNGS]
    return await client.post("/v1/anomalies", json={"model": "tiny", "images": images} | more)


async def post_npy(client: httpx.AsyncClient, **query: Any) -> httpx.Response:
    params = {"model": "tiny"} | query
    return await client.post("/v1/anomalies", content=npy(TOKENS), headers=NPY, params=params)


async def post_form(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    files = [("images", (f"{i}", content)) for i, content in enumerate(PNGS)]
    return await client.post("/v1/anomalies", files=files, data={"model": "tiny", **fields})


async def test_images_are_selected_together(client: httpx.AsyncClient, service: Service) -> None:
    answer = (await post(client, select={"fdr": 0.1})).json()
    task = service.worker.jobs[0].task
    assert isinstance(task, AnomalyTask)
    assert task.fdr == 0.1
    assert answer["settings"]["select"] == {"fdr": 0.1}
    p_values = [row["p_value"] for row in answer["results"]]
    found = [row["selected"] for row in answer["results"]]
    assert found == benjamini_hochberg(p_values, 0.1) == [False] * 5 + [True] * 3
    # The smallest p-value, 1/41, is above 0.1/8: three images of it carry each other.
    assert min(p_values) > 0.1 / 8


async def test_every_way_in_selects_the_same(client: httpx.AsyncClient) -> None:
    answers = [
        await post(client, select={"fdr": 0.1}, source="left"),
        await post_npy(client, select_fdr="0.1", source="left"),
        await post_form(client, select_fdr="0.1", source="left"),
    ]
    assert [answer.status_code for answer in answers] == [200] * 3
    first, *others = (answer.json() for answer in answers)
    for other in others:
        assert other["results"] == first["results"]
        assert other["settings"] == first["settings"]
    request = {"model": "tiny", "images": [base64.b64encode(PNGS[7]).decode()]}
    job = {"kind": "anomalies", "request": {**request, "select": {"fdr": 0.1}, "source": "left"}}
    assert (await client.post("/v1/jobs", json=job)).status_code == 202


async def test_without_it_nothing_is_said_of_it(client: httpx.AsyncClient) -> None:
    answer = (await post(client)).json()
    assert all("selected" not in row for row in answer["results"])
    assert not {"select", "source"} & answer["settings"].keys()


async def test_an_image_that_failed_counts_with_its_p_value(
    client: httpx.AsyncClient, service: Service
) -> None:
    readings = (Reading(39, reason="too wild"), *(reading_of(image) for image in TOKENS[1:]))
    service.worker.answer = lambda job: AnomalyResult(readings, EXECUTION)
    rows = (await post(client, select={"fdr": 0.1})).json()["results"]
    assert (rows[0]["status"], rows[0]["selected"]) == ("failed", True)


@pytest.mark.parametrize("fdr", [0, 1, -0.5, 1.5, "much", None])
async def test_a_rate_that_is_none(client: httpx.AsyncClient, service: Service, fdr: Any) -> None:
    for answer, field in (
        (await post(client, select={"fdr": fdr}), "select.fdr"),
        (await post_npy(client, select_fdr=str(fdr)), "select_fdr"),
        (await post_form(client, select_fdr=str(fdr)), "select_fdr"),
    ):
        problem: Any = assert_problem(answer, 422, "invalid-request")
        assert [entry["field"] for entry in problem["errors"]] == [field]
    assert not service.worker.jobs


async def test_a_rate_at_which_nothing_could_be_selected(client: httpx.AsyncClient) -> None:
    least = CALIBRATION.smallest_alpha
    for answer, field in (
        (await post(client, select={"fdr": 0.9 * least}), "select.fdr"),
        (await post_npy(client, select_fdr=str(0.9 * least)), "select_fdr"),
    ):
        problem: Any = assert_problem(answer, 422, "invalid-request")
        assert [entry["field"] for entry in problem["errors"]] == [field]
        assert "at least 1/(m + 1) = 0.0244, with m = 40" in problem["detail"]
    assert (await post(client, select={"fdr": least})).status_code == 200


@pytest.mark.parametrize("more", [{"select_fdr": 0.1}, {"select": 0.1}, {"select": {"fwer": 0.1}}])
async def test_other_ways_to_write_it_are_refused(
    client: httpx.AsyncClient, more: dict[str, Any]
) -> None:
    assert_problem(await post(client, **more), 422, "invalid-request")


async def test_a_source_is_repeated(client: httpx.AsyncClient, service: Service) -> None:
    answer = (await post(client, source="right")).json()
    assert answer["settings"]["source"] == "right"
    task = service.worker.jobs[0].task
    assert isinstance(task, AnomalyTask)
    assert task.source == "right"


@pytest.mark.parametrize("source", ["middle", "", "Left", "none", "other"])
async def test_a_source_that_is_not_on_the_list(
    client: httpx.AsyncClient, service: Service, source: str
) -> None:
    for answer in (await post(client, source=source), await post_npy(client, source=source)):
        problem = assert_problem(answer, 422, "invalid-request")
        assert problem["detail"] == "source: should be one of left, right"
    assert not service.worker.jobs


@pytest.mark.parametrize("settings", [Settings()])
async def test_a_source_where_there_is_no_list(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    problem = assert_problem(await post(client, source="left"), 422, "invalid-request")
    assert problem["detail"] == (
        "source: leave it out: this service has no list of sources (MULAN_SOURCES)"
    )
