"""Bodies that are no jobs yet share a bounded memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import numpy as np
import pytest
from api_double import Service, assert_problem, npy

from service.settings import Settings

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
ARRAY = npy(np.zeros((9000, 4, 3, 1), np.uint8))
SMALL = b'{"model": "tiny"}'
LARGE = SMALL.ljust(150_000)


@pytest.fixture
def settings() -> Settings:
    return Settings(
        max_pending_body_bytes=250_000,
        max_images=100_000,
        max_row_evaluations=10**9,
        max_queued_row_evaluations=10**9,
    )


@asynccontextmanager
async def uploading(client: httpx.AsyncClient, size: int) -> AsyncIterator[asyncio.Event]:
    """A body of which so much has come, and the rest comes when it is told."""
    sent, go_on = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield LARGE[:size]
        sent.set()
        await go_on.wait()
        yield LARGE[size:]

    async def send() -> httpx.Response:
        return await client.post("/v1/samples", content=body(), headers=JSON)

    task = asyncio.create_task(send())
    await sent.wait()
    yield go_on
    go_on.set()
    assert (await task).status_code == 200


async def test_what_has_no_room_is_refused_for_now(client: httpx.AsyncClient) -> None:
    async with uploading(client, 140_000):
        response = await client.post("/v1/samples", content=LARGE, headers=JSON)
        problem = assert_problem(response, 429, "queue-full")
        assert "140000 bytes, of at most 250000" in str(problem["detail"])
        assert int(response.headers["retry-after"]) >= 1
    assert (await client.post("/v1/samples", content=LARGE, headers=JSON)).status_code == 200


async def test_small_bodies_always_have_room(client: httpx.AsyncClient) -> None:
    async with uploading(client, 140_000):
        response = await client.post("/v1/samples", content=SMALL.ljust(60_000), headers=JSON)
        assert response.status_code == 200


@pytest.mark.parametrize("settings", [Settings(max_pending_body_bytes=1024)])
async def test_one_alone_always_has(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        assert (await client.post("/v1/samples", content=LARGE, headers=JSON)).status_code == 200


async def test_a_body_that_is_a_job_takes_no_room(
    client: httpx.AsyncClient, service: Service
) -> None:
    service.worker.proceed.clear()
    array = {"Content-Type": "application/x-npy"}
    asked = [client.post("/v1/likelihoods?model=tiny", content=ARRAY, headers=array)]
    asked += [client.post("/v1/samples", content=LARGE, headers=JSON) for _ in range(3)]
    waiting = []
    async with asyncio.timeout(10):
        for number, request in enumerate(asked, 1):
            waiting.append(asyncio.ensure_future(request))
            while len((await service.store.jobs("", None, 10, None)).jobs) < number:
                await asyncio.sleep(0.001)
    service.worker.proceed.set()
    assert [response.status_code for response in await asyncio.gather(*waiting)] == [200] * 4


async def test_whatever_came_of_a_body_it_goes(client: httpx.AsyncClient) -> None:
    for content in (LARGE[1:], LARGE.replace(b"tiny", b"nine"), LARGE.ljust(20_000_000)):
        response = await client.post("/v1/samples", content=content, headers=JSON)
        assert response.status_code in (400, 404, 413)
    async with uploading(client, 140_000):
        pass
