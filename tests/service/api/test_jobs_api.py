"""/v1/jobs: queued, listed, asked for, cancelled, forgotten; by their owners alone."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import numpy as np
import pytest
from api_double import CALIBRATION, CONFIG, EXECUTION, Service, assert_problem, manifest, png

from service.errors import ComputationFailed, DeadlineExceeded
from service.settings import Settings

pytestmark = pytest.mark.anyio

SAMPLES: dict[str, Any] = {"kind": "samples", "request": {"model": "tiny", "count": 2, "seed": 3}}
IMAGE = base64.b64encode(png(np.zeros((4, 3), np.uint8))).decode()
LIKELIHOODS: dict[str, Any] = {
    "kind": "likelihoods",
    "request": {"model": "tiny", "images": [IMAGE]},
}
ANOMALIES: dict[str, Any] = {
    "kind": "anomalies",
    "request": {"model": "tiny", "images": [IMAGE], "alpha": 0.1, "heatmap": True},
}


async def queue(client: httpx.AsyncClient, job: dict[str, Any] = SAMPLES) -> str:
    response = await client.post("/v1/jobs", json=job)
    assert response.status_code == 202, response.text
    path: str = response.headers["location"]
    assert path == f"/v1/jobs/{response.json()['id']}"
    return path


async def ended(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    async with asyncio.timeout(5):
        while True:
            job: dict[str, Any] = (await client.get(path)).json()
            if job["status"] not in ("queued", "running"):
                return job
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("job", [SAMPLES, LIKELIHOODS, ANOMALIES])
async def test_a_result_is_what_the_waiting_endpoint_answers(
    client: httpx.AsyncClient, job: dict[str, Any]
) -> None:
    path = await queue(client, job)
    assert (await ended(client, path))["status"] == "succeeded"
    result = (await client.get(f"{path}/result")).json()
    waited = (await client.post(f"/v1/{job['kind']}", json=job["request"])).json()
    assert result.keys() == waited.keys()
    for name in result.keys() - {"id", "timing"}:
        assert result[name] == waited[name]
    assert path.endswith(result["id"])


async def test_a_verdict_is_by_the_calibration_it_was_asked_under(
    client: httpx.AsyncClient, service: Service
) -> None:
    service.worker.proceed.clear()
    path = await queue(client, ANOMALIES)
    waited = asyncio.ensure_future(client.post("/v1/anomalies", json=ANOMALIES["request"]))
    while len((await service.store.jobs(None, None, 9, None)).jobs) < 2:
        await asyncio.sleep(0.001)
    elsewhere = CALIBRATION.model_copy(update={"scores": (1e9,) * len(CALIBRATION.scores)})
    service.catalogue.add(manifest("tiny", CONFIG), EXECUTION, elsewhere)
    service.worker.proceed.set()
    await ended(client, path)
    (verdict,) = (await client.get(f"{path}/result")).json()["results"]
    assert verdict["p_value"] == (await waited).json()["results"][0]["p_value"] < 1
    answer = await client.post("/v1/anomalies", json=ANOMALIES["request"])
    assert answer.json()["results"][0]["p_value"] == 1


async def test_a_result_is_negotiated(client: httpx.AsyncClient) -> None:
    path = await queue(client)
    await ended(client, path)
    for media_type in ("image/png", "application/x-npy"):
        headers = {"Accept": media_type}
        result = await client.get(f"{path}/result", headers=headers)
        waited = await client.post("/v1/samples", json=SAMPLES["request"], headers=headers)
        assert result.headers["content-type"] == media_type
        assert result.content == waited.content
        assert result.headers["x-mulan-seed"] == "3"
    refusal = await client.get(f"{path}/result", headers={"Accept": "text/html"})
    assert_problem(refusal, 406, "not-acceptable")
    path = await queue(client, LIKELIHOODS)
    await ended(client, path)
    refusal = await client.get(f"{path}/result", headers={"Accept": "image/png"})
    assert_problem(refusal, 406, "not-acceptable")


async def test_a_job_tells_how_it_stands(client: httpx.AsyncClient, service: Service) -> None:
    service.worker.proceed.clear()
    request = SAMPLES["request"] | {"priority": "high", "timeout_s": 60}
    path = await queue(client, {"kind": "samples", "request": request})
    while not service.worker.jobs:
        await asyncio.sleep(0.001)
    job = (await client.get(path)).json()
    assert (job["kind"], job["model"], job["priority"]) == ("samples", "tiny", "high")
    assert job["checkpoint"] == service.catalogue.get("tiny").checkpoint
    assert (job["status"], job["progress"], job["finished_at"]) == ("running", 0.0, None)
    assert job["created_at"] <= job["started_at"] < job["deadline"]
    assert_problem(await client.get(f"{path}/result"), 409, "job-not-finished")
    service.worker.proceed.set()
    job = await ended(client, path)
    assert (job["status"], job["progress"]) == ("succeeded", 1.0)
    assert job["finished_at"] >= job["started_at"]


async def test_a_running_job_is_cancelled(client: httpx.AsyncClient, service: Service) -> None:
    service.worker.proceed.clear()
    path = await queue(client)
    while not service.worker.jobs:
        await asyncio.sleep(0.001)
    for _ in range(2):
        response = await client.delete(path)
        assert (response.status_code, response.content) == (204, b"")
        assert (await client.get(path)).json()["status"] == "cancelled"
    while not service.worker.cancelled:
        await asyncio.sleep(0.001)
    response = await client.get(f"{path}/result")
    assert response.status_code == 410


async def test_a_cancelled_job_has_no_result(client: httpx.AsyncClient, service: Service) -> None:
    service.worker.proceed.clear()
    path = await queue(client)
    assert (await client.delete(path)).status_code == 204
    problem = assert_problem(await client.get(f"{path}/result"), 410, "job-cancelled")
    assert path.endswith(str(problem["job"]))


async def test_an_ended_job_forgets_its_result(client: httpx.AsyncClient) -> None:
    path = await queue(client)
    await ended(client, path)
    for _ in range(2):
        assert (await client.delete(path)).status_code == 204
        assert_problem(await client.get(f"{path}/result"), 410, "result-expired")
        assert (await client.get(path)).json()["status"] == "succeeded"


@pytest.mark.parametrize("settings", [Settings(retention_s=0.05)])
async def test_a_result_is_kept_for_a_while(client: httpx.AsyncClient) -> None:
    path = await queue(client)
    await ended(client, path)
    await asyncio.sleep(0.1)
    assert_problem(await client.get(f"{path}/result"), 410, "result-expired")
    assert (await client.get(path)).json()["status"] == "succeeded"


@pytest.mark.parametrize(
    ("outcome", "status", "code", "http"),
    [
        (ComputationFailed("not finite"), "failed", "computation-failed", 500),
        (DeadlineExceeded("late"), "timed-out", "deadline-exceeded", 504),
    ],
)
async def test_a_failure_is_the_problem_itself(
    client: httpx.AsyncClient, service: Service, outcome: Any, status: str, code: str, http: int
) -> None:
    service.worker.answer = lambda job: outcome
    path = await queue(client)
    assert (await ended(client, path))["status"] == status
    problem = assert_problem(await client.get(f"{path}/result"), http, code)
    assert path.endswith(str(problem["job"]))


async def test_a_job_that_waits_too_long_is_timed_out(
    client: httpx.AsyncClient, service: Service
) -> None:
    service.worker.proceed.clear()
    await queue(client)
    request = SAMPLES["request"] | {"timeout_s": 0.05}
    path = await queue(client, {"kind": "samples", "request": request})
    async with asyncio.timeout(5):
        while (await client.get(path)).json()["status"] == "queued":
            await asyncio.sleep(0.01)
            await service.store.sweep()
    assert_problem(await client.get(f"{path}/result"), 504, "deadline-exceeded")


async def test_jobs_are_listed_page_by_page(client: httpx.AsyncClient, service: Service) -> None:
    service.worker.proceed.clear()
    paths = [await queue(client) for _ in range(5)]
    ids = [path.removeprefix("/v1/jobs/") for path in reversed(paths)]
    await client.delete(paths[2])
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for size in (2, 2, 1):
        page = (await client.get("/v1/jobs", params={"limit": "2", **cursor})).json()
        assert len(page["jobs"]) == size
        seen += [job["id"] for job in page["jobs"]]
        cursor = {"cursor": page["next_cursor"]}
    assert seen == ids
    assert page["next_cursor"] is None
    page = (await client.get("/v1/jobs", params={"status": "cancelled"})).json()
    assert [job["id"] for job in page["jobs"]] == [ids[2]]


@pytest.mark.parametrize(
    "query",
    [
        "status=gone",
        "limit=0",
        "limit=101",
        "limit=x",
        "cursor=x",
        "state=queued",
        "cursor=",
        "cursor=-1",
    ],
)
async def test_a_wrong_query_is_a_problem(client: httpx.AsyncClient, query: str) -> None:
    problem = assert_problem(await client.get(f"/v1/jobs?{query}"), 422, "invalid-request")
    assert problem["errors"][0]["field"] == query.partition("=")[0]  # type: ignore[index]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid-request"),
        ({"kind": "dreams", "request": {}}, 422, "invalid-request"),
        ({"kind": "samples"}, 422, "invalid-request"),
        ({"kind": "samples", "request": {"model": "none"}}, 404, "unknown-model"),
        ({"kind": "samples", "request": {"model": "tiny", "count": 0}}, 422, "invalid-request"),
        (
            {"kind": "samples", "request": {"model": "tiny", "priority": "urgent"}},
            422,
            "invalid-request",
        ),
        (
            {"kind": "samples", "request": {"model": "tiny", "count": 1024, "solver":
                {"name": "ddpm", "steps": 1000}}},
            422,
            "request-too-expensive",
        ),
        ({"kind": "anomalies", "request": {"model": "colour", "images": [IMAGE]}}, 422,
         "calibration-missing"),
        ({"kind": "anomalies", "request": {"model": "tiny", "images": [IMAGE], "alpha": 0.02}}, 422,
         "invalid-request"),
        ({"kind": "likelihoods", "request": {"model": "tiny", "images": ["?"]}}, 400,
         "malformed-body"),
        ({"kind": "likelihoods", "request": {"model": "tiny", "images": [IMAGE] * 1025}}, 413,
         "too-many-images"),
    ],
)  # fmt: skip
async def test_what_a_waiting_endpoint_refuses_is_refused(
    client: httpx.AsyncClient, body: dict[str, Any], status: int, code: str
) -> None:
    assert_problem(await client.post("/v1/jobs", json=body), status, code)


async def test_other_bodies_are_not_read(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/jobs", content=b"{}", headers={"Content-Type": "text/plain"})
    assert_problem(response, 415, "unsupported-media-type")


async def test_unknown_jobs(client: httpx.AsyncClient) -> None:
    for path in ("/v1/jobs/none", "/v1/jobs/none/result", "/v1/jobs/none/events"):
        assert_problem(await client.get(path), 404, "unknown-job")
    assert_problem(await client.delete("/v1/jobs/none"), 404, "unknown-job")


async def test_in_a_drain_nothing_is_queued_and_all_is_told(
    client: httpx.AsyncClient, service: Service
) -> None:
    path = await queue(client)
    await ended(client, path)
    service.gate.drain()
    assert_problem(await client.post("/v1/jobs", json=SAMPLES), 503, "draining")
    for look in (path, f"{path}/result", "/v1/jobs"):
        assert (await client.get(look)).status_code == 200


async def test_a_queued_job_is_not_bound_to_its_client(
    client: httpx.AsyncClient, service: Service
) -> None:
    path = await queue(client)
    job = await ended(client, path)
    assert job["status"] == "succeeded"
    deadline = service.worker.jobs[0].deadline
    assert deadline - time.time() > Settings().default_timeout_s


class TestOwners:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings.model_validate({"api_keys": "alpha, beta"})

    @pytest.fixture
    async def alpha(self, service: Service) -> AsyncIterator[httpx.AsyncClient]:
        async with service.client(authorization="Bearer alpha") as client:
            yield client

    @pytest.fixture
    async def beta(self, service: Service) -> AsyncIterator[httpx.AsyncClient]:
        async with service.client(authorization="Bearer beta") as client:
            yield client

    async def test_a_job_of_another_key_is_unknown(
        self, service: Service, alpha: httpx.AsyncClient, beta: httpx.AsyncClient
    ) -> None:
        service.worker.proceed.clear()
        path = await queue(alpha)
        nobodys = "/v1/jobs/" + "0" * 32
        for suffix in ("", "/result", "/events"):
            theirs = assert_problem(await beta.get(path + suffix), 404, "unknown-job")
            none = assert_problem(await beta.get(nobodys + suffix), 404, "unknown-job")
            assert str(theirs["detail"]).replace(path[9:], nobodys[9:]) == none["detail"]
        assert_problem(await beta.delete(path), 404, "unknown-job")
        assert (await beta.get("/v1/jobs")).json() == {"jobs": [], "next_cursor": None}
        assert len((await alpha.get("/v1/jobs")).json()["jobs"]) == 1
        with anyio.fail_after(5):
            while (await alpha.get(path)).json()["status"] != "running":
                await anyio.sleep(0.01)

    async def test_ids_have_no_more_in_common_than_their_time(
        self, alpha: httpx.AsyncClient
    ) -> None:
        """An id begins with 48 bits of time; nobody guesses the rest."""
        ids = {(await queue(alpha)).removeprefix("/v1/jobs/") for _ in range(50)}
        assert len({name[-16:] for name in ids}) == 50
        assert {len(name) for name in ids} == {32}

    async def test_without_a_key_there_are_no_jobs(self, service: Service) -> None:
        async with service.client() as client:
            for path in ("/v1/jobs", "/v1/jobs/x", "/v1/jobs/x/result", "/v1/jobs/x/events"):
                assert_problem(await client.get(path), 401, "unauthorized")
            assert_problem(await client.post("/v1/jobs", json=SAMPLES), 401, "unauthorized")
            assert_problem(await client.delete("/v1/jobs/x"), 401, "unauthorized")


async def test_likelihoods_of_a_job_know_their_shape(client: httpx.AsyncClient) -> None:
    assert CONFIG.image_shape == (4, 3, 1)
    image = base64.b64encode(png(np.zeros((5, 3), np.uint8))).decode()
    body = {"kind": "likelihoods", "request": {"model": "tiny", "images": [image]}}
    assert_problem(await client.post("/v1/jobs", json=body), 422, "wrong-image-shape")
