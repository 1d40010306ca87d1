"""What a caller may have: turns, rates and costs, judged before anything is decoded."""

import asyncio
import base64
from typing import Any

import httpx
import pytest
from api_double import Service, assert_problem

from service.settings import Settings, SettingsError, read_settings

pytestmark = pytest.mark.anyio

BODY: dict[str, Any] = {"model": "tiny", "solver": {"name": "ddpm", "steps": 10}}
# Says that it is a PNG, and is none: who decodes it knows.
NO_PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and no more").decode()


async def test_whose_turn_it_is(client: httpx.AsyncClient, service: Service) -> None:
    service.worker.proceed.clear()
    blocker = asyncio.ensure_future(client.post("/v1/samples", json=BODY))
    while not service.worker.jobs:
        await asyncio.sleep(0.001)
    asked = []
    for number, priority in enumerate(["low", "normal", "high", "normal"]):
        body = BODY | {"seed": number, "priority": priority}
        asked.append(asyncio.ensure_future(client.post("/v1/samples", json=body)))
        await asyncio.sleep(0.01)
    service.worker.proceed.set()
    await asyncio.gather(blocker, *asked)
    assert [job.task.seed for job in service.worker.jobs[1:]] == [2, 1, 3, 0]


class TestCostThatWaits:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(max_queued_row_evaluations=100)

    async def test_is_bounded(self, client: httpx.AsyncClient, service: Service) -> None:
        service.worker.proceed.clear()
        job = {"kind": "samples", "request": BODY | {"count": 5}}
        assert (await client.post("/v1/jobs", json=job)).status_code == 202
        while not service.worker.jobs:
            await asyncio.sleep(0.001)
        for _ in range(2):
            assert (await client.post("/v1/jobs", json=job)).status_code == 202
        response = await client.post("/v1/jobs", json=job)
        problem = assert_problem(response, 429, "queue-full")
        assert "row-evaluations" in str(problem["detail"])
        assert int(response.headers["retry-after"]) >= 1
        # What is no picture is not looked at where there is no room.
        body = {"model": "tiny", "images": [NO_PNG]}
        assert_problem(await client.post("/v1/likelihoods", json=body), 429, "queue-full")
        service.worker.proceed.set()


class TestRequests:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings.model_validate({"request_rate": "3/minute", "api_keys": "alpha, beta"})

    async def test_are_counted_by_key(self, service: Service) -> None:
        async with service.client(authorization="Bearer alpha") as client:
            for path in ("/v1/samples", "/v1/likelihoods", "/v1/jobs"):
                await client.post(path, json={})
            for path in ("/v1/samples", "/v1/likelihoods", "/v1/jobs"):
                response = await client.post(path, json={})
                assert_problem(response, 429, "rate-limited")
                assert 1 <= int(response.headers["retry-after"]) <= 60
            assert (await client.get("/v1/jobs")).status_code == 200
        async with service.client(authorization="Bearer beta") as client:
            assert (await client.post("/v1/samples", json=BODY)).status_code == 200


class TestCost:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings.model_validate({"cost_rate": "100/minute"})

    async def test_is_counted_and_what_is_refused_costs_nothing(
        self, client: httpx.AsyncClient
    ) -> None:
        for count, status in ((6, 200), (5, 429), (4, 200), (1, 429)):
            response = await client.post("/v1/samples", json=BODY | {"count": count})
            assert response.status_code == status, response.text
        assert_problem(response, 429, "rate-limited")
        assert 1 <= int(response.headers["retry-after"]) <= 60

    async def test_of_what_would_never_fit_is_told(self, client: httpx.AsyncClient) -> None:
        response = await client.post("/v1/samples", json=BODY | {"count": 11})
        assert_problem(response, 422, "request-too-expensive")

    async def test_is_judged_before_anything_is_decoded(
        self, client: httpx.AsyncClient, service: Service
    ) -> None:
        body = {"model": "tiny", "images": [NO_PNG], "probes": 64}
        response = await client.post("/v1/likelihoods", json=body)
        assert_problem(response, 422, "request-too-expensive")

    async def test_of_a_request_that_is_sent_again_is_counted_once(
        self, client: httpx.AsyncClient, service: Service
    ) -> None:
        body, key = BODY | {"count": 6}, {"Idempotency-Key": "once"}
        for _ in range(3):
            assert (await client.post("/v1/samples", json=body, headers=key)).status_code == 200
        together = [
            client.post(
                "/v1/samples", json=BODY | {"count": 4}, headers=key | {"Idempotency-Key": "twice"}
            )
            for _ in range(8)
        ]
        answers = await asyncio.gather(*together)
        assert {answer.status_code for answer in answers} == {200}
        assert len(service.worker.jobs) == 2
        assert_problem(await client.post("/v1/samples", json=BODY), 429, "rate-limited")

    async def test_of_images_that_cannot_be_decoded_is_not_counted(
        self, client: httpx.AsyncClient
    ) -> None:
        body = {"model": "tiny", "images": [NO_PNG], "probes": 1, "tolerance_nats": 10}
        for _ in range(5):
            response = await client.post("/v1/likelihoods", json=body)
            assert response.status_code == 400, response.text
        assert (await client.post("/v1/samples", json=BODY | {"count": 10})).status_code == 200


class TestCostInAFullQueue:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings.model_validate(
            {"cost_rate": "200/minute", "max_queued_row_evaluations": 100}
        )

    async def test_is_not_counted_where_there_is_no_room(
        self, client: httpx.AsyncClient, service: Service
    ) -> None:
        service.worker.proceed.clear()
        running = asyncio.ensure_future(client.post("/v1/samples", json=BODY))
        while not service.worker.jobs:
            await asyncio.sleep(0.001)
        waiting = asyncio.ensure_future(client.post("/v1/samples", json=BODY | {"count": 6}))
        while not (await service.store.load()).jobs:
            await asyncio.sleep(0.001)
        for _ in range(3):
            refused = await client.post("/v1/samples", json=BODY | {"count": 6})
            assert_problem(refused, 429, "queue-full")
        service.worker.proceed.set()
        await asyncio.gather(running, waiting)
        assert (await client.post("/v1/samples", json=BODY | {"count": 10})).status_code == 200


@pytest.mark.parametrize("rate", ["often", "3", "3/fortnight", "-1/minute"])
def test_a_rate_that_is_none_stops_the_start(rate: str) -> None:
    for name in ("request_rate", "cost_rate"):
        with pytest.raises(SettingsError, match=name.upper()):
            read_settings(**{name: rate})
