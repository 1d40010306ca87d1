"""`Idempotency-Key`: the same request twice is one job, for its caller and path alone."""

import asyncio
from typing import Any

import httpx
import numpy as np
import pytest
from api_double import Service, assert_problem, npy, png

from service.errors import ComputationFailed
from service.settings import Settings

pytestmark = pytest.mark.anyio

BODY: dict[str, Any] = {"model": "tiny", "count": 2}
JOB: dict[str, Any] = {"kind": "samples", "request": BODY}
KEY = {"Idempotency-Key": "once"}
ARRAY = npy(np.zeros((1, 4, 3, 1), np.uint8))


async def test_fifty_at_once_are_one_job(client: httpx.AsyncClient, service: Service) -> None:
    service.worker.proceed.clear()
    asked = [
        asyncio.ensure_future(client.post("/v1/samples", json=BODY, headers=KEY)) for _ in range(50)
    ]
    await asyncio.sleep(0.1)
    service.worker.proceed.set()
    answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(service.worker.jobs) == 1


async def test_the_stored_answer_comes_again(client: httpx.AsyncClient, service: Service) -> None:
    first = await client.post("/v1/samples", json=BODY, headers=KEY)
    headers = KEY | {"Accept": "application/x-npy"}
    assert (await client.post("/v1/samples", json=BODY, headers=KEY)).content == first.content
    array = await client.post("/v1/samples", json=BODY, headers=headers)
    assert array.headers["x-mulan-id"] == first.json()["id"]
    written_out = BODY | {"latent": "prior", "priority": "normal"}
    again = await client.post("/v1/samples", json=written_out, headers=KEY)
    assert again.content == first.content
    assert len(service.worker.jobs) == 1


async def test_another_request_with_the_key_is_refused(
    client: httpx.AsyncClient, service: Service
) -> None:
    await client.post("/v1/samples", json=BODY, headers=KEY)
    for more in ({"count": 3}, {"seed": 1}, {"model": "colour"}, {"priority": "low"}):
        response = await client.post("/v1/samples", json=BODY | more, headers=KEY)
        assert_problem(response, 422, "idempotency-mismatch")
    assert len(service.worker.jobs) == 1


async def test_images_are_part_of_the_request(client: httpx.AsyncClient, service: Service) -> None:
    headers = KEY | {"Content-Type": "application/x-npy"}
    other = npy(np.ones((1, 4, 3, 1), np.uint8))
    path = "/v1/likelihoods?model=tiny"
    for _ in range(2):
        assert (await client.post(path, content=ARRAY, headers=headers)).is_success
    refusal = await client.post(path, content=other, headers=headers)
    assert_problem(refusal, 422, "idempotency-mismatch")
    assert len(service.worker.jobs) == 1


async def test_how_to_judge_is_part_of_the_request(
    client: httpx.AsyncClient, service: Service
) -> None:
    headers = KEY | {"Content-Type": "application/x-npy"}
    path = "/v1/anomalies?model=tiny"
    answers = [await client.post(path, content=ARRAY, headers=headers) for _ in range(2)]
    assert answers[0].is_success
    assert answers[0].content == answers[1].content
    for more in ("alpha=0.5", "heatmap=true", "seed=1"):
        refusal = await client.post(f"{path}&{more}", content=ARRAY, headers=headers)
        assert_problem(refusal, 422, "idempotency-mismatch")
    assert len(service.worker.jobs) == 1


async def test_a_form_may_be_written_anew(client: httpx.AsyncClient, service: Service) -> None:
    image = png(np.zeros((4, 3), np.uint8))
    for _ in range(2):
        response = await client.post(
            "/v1/likelihoods", data={"model": "tiny"}, files={"images": image}, headers=KEY
        )
        assert response.is_success
    assert len(service.worker.jobs) == 1


async def test_queued_jobs_join_too(client: httpx.AsyncClient, service: Service) -> None:
    answers = [await client.post("/v1/jobs", json=JOB, headers=KEY) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert len({answer.headers["location"] for answer in answers}) == 1
    refusal = await client.post(
        "/v1/jobs", json={"kind": "samples", "request": BODY | {"count": 9}}, headers=KEY
    )
    assert_problem(refusal, 422, "idempotency-mismatch")


async def test_a_key_is_a_paths_own(client: httpx.AsyncClient, service: Service) -> None:
    assert (await client.post("/v1/samples", json=BODY, headers=KEY)).status_code == 200
    assert (await client.post("/v1/jobs", json=JOB, headers=KEY)).status_code == 202
    while len(service.worker.jobs) < 2:
        await asyncio.sleep(0.001)
    assert len({job.id for job in service.worker.jobs}) == 2


async def test_a_failure_is_an_answer(client: httpx.AsyncClient, service: Service) -> None:
    service.worker.answer = lambda job: ComputationFailed("not finite")
    answers = [await client.post("/v1/samples", json=BODY, headers=KEY) for _ in range(2)]
    for answer in answers:
        assert_problem(answer, 500, "computation-failed")
    assert answers[0].json()["job"] == answers[1].json()["job"]
    assert len(service.worker.jobs) == 1


async def test_what_was_given_up_is_begun_anew(client: httpx.AsyncClient, service: Service) -> None:
    service.worker.proceed.clear()
    body = BODY | {"timeout_s": 0.1}
    response = await client.post("/v1/samples", json=body, headers=KEY)
    assert_problem(response, 504, "deadline-exceeded")
    service.worker.proceed.set()
    assert (await client.post("/v1/samples", json=body, headers=KEY)).status_code == 200
    assert len(service.worker.jobs) == 2


async def test_one_of_two_who_leaves_takes_nothing_along(
    client: httpx.AsyncClient, service: Service
) -> None:
    service.worker.proceed.clear()
    patient = asyncio.ensure_future(client.post("/v1/samples", json=BODY, headers=KEY))
    while not service.worker.jobs:
        await asyncio.sleep(0.001)
    hasty = asyncio.ensure_future(client.post("/v1/samples", json=BODY, headers=KEY))
    await asyncio.sleep(0.05)
    hasty.cancel()
    await asyncio.gather(hasty, return_exceptions=True)
    service.worker.proceed.set()
    assert (await patient).status_code == 200
    assert service.worker.cancelled == []


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "é"])
@pytest.mark.parametrize(("path", "body"), [("/v1/samples", BODY), ("/v1/jobs", JOB)])
async def test_a_key_that_is_none_is_refused(
    client: httpx.AsyncClient, key: str, path: str, body: dict[str, Any]
) -> None:
    headers = {b"Idempotency-Key": key.encode("latin-1")}
    problem = assert_problem(
        await client.post(path, json=body, headers=headers), 422, "invalid-request"
    )
    assert problem["errors"][0]["field"] == "Idempotency-Key"  # type: ignore[index]


class TestOwners:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings.model_validate({"api_keys": "alpha, beta"})

    async def test_a_key_is_its_callers_own(self, service: Service) -> None:
        ids = set()
        for name in ("alpha", "beta"):
            async with service.client(authorization=f"Bearer {name}") as client:
                ids.add((await client.post("/v1/samples", json=BODY, headers=KEY)).json()["id"])
        assert len(ids) == 2
