"""/v1/jobs/{id}/events: progress, previews, an end; resumed, or begun again."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from api_double import Service
from httpx_sse import ServerSentEvent, aconnect_sse

from service.api import events as events_route
from service.store import rules
from service.store.base import Claim
from service.store.news import RECENT, News, Reset

pytestmark = pytest.mark.anyio

PREVIEW = b"\x89PNG and so on"


async def queue(client: httpx.AsyncClient) -> str:
    body = {"kind": "samples", "request": {"model": "tiny", "count": 2, "seed": 3}}
    path: str = (await client.post("/v1/jobs", json=body)).headers["location"]
    return path


async def listen(client: httpx.AsyncClient, path: str, last: str | None = None) -> Any:
    """Every event of a stream until it is closed."""
    headers = {} if last is None else {"Last-Event-ID": last}
    async with (
        asyncio.timeout(5),
        aconnect_sse(client, "GET", f"{path}/events", headers=headers) as source,
    ):
        assert source.response.headers["content-type"].startswith("text/event-stream")
        return [event async for event in source.aiter_sse()]


async def watched(service: Service, path: str) -> Claim:
    """The running job's claim, once somebody watches it."""
    job_id = path.removeprefix("/v1/jobs/")
    async with asyncio.timeout(5):
        while not service.worker.jobs:
            await asyncio.sleep(0.001)
        claim = Claim((await service.store.record(job_id)).job, 1)
        while not await service.store.report(claim, 0.0):
            await asyncio.sleep(0.001)
    return claim


def names(events: list[ServerSentEvent]) -> list[str]:
    return [event.event for event in events]


async def test_events_end_with_the_job(client: httpx.AsyncClient, service: Service) -> None:
    service.worker.proceed.clear()
    path = await queue(client)
    listening = asyncio.ensure_future(listen(client, path))
    claim = await watched(service, path)
    for progress in (0.25, 0.5):
        await service.store.report(claim, progress, PREVIEW)
        await asyncio.sleep(0.01)
    service.worker.proceed.set()
    events = await listening
    assert names(events)[-1] == "succeeded"
    assert set(names(events)[:-1]) == {"progress"}
    told = [json.loads(event.data) for event in events[:-1]]
    assert [one["progress"] for one in told] == sorted(one["progress"] for one in told)
    assert told[-1] == {"progress": 0.5, "preview": base64.b64encode(PREVIEW).decode()}
    assert told[0]["preview"] is None
    numbers = [int(event.id) for event in events]
    assert numbers == sorted(set(numbers))
    end = json.loads(events[-1].data)
    assert (end["status"], end["progress"]) == ("succeeded", 1.0)


async def test_a_stream_goes_on_where_it_was_cut(
    client: httpx.AsyncClient, service: Service
) -> None:
    service.worker.proceed.clear()
    path = await queue(client)
    other = asyncio.ensure_future(listen(client, path))
    claim = await watched(service, path)
    for number in range(1, 6):
        await service.store.report(claim, number / 10)
        await asyncio.sleep(0.01)
    service.worker.proceed.set()
    events = await other
    last = events[-3]
    rest = await listen(client, path, last.id)
    assert [(one.event, one.id, one.data) for one in rest] == [
        (one.event, one.id, one.data) for one in events[-2:]
    ]
    assert names(await listen(client, path, events[-1].id)) == ["succeeded"]


@pytest.mark.parametrize("last", ["1", "123456", "x", "", "-1", "9" * 40, "٣"])
async def test_a_stream_that_cannot_go_on_starts_again(
    client: httpx.AsyncClient, service: Service, last: str
) -> None:
    service.worker.proceed.clear()
    path = await queue(client)
    other = asyncio.ensure_future(listen(client, path))
    claim = await watched(service, path)
    for number in range(1, RECENT + 9):
        await service.store.report(claim, number / 100)
    service.worker.proceed.set()
    await other
    headers = {b"Last-Event-ID": last.encode()}
    async with aconnect_sse(client, "GET", f"{path}/events", headers=headers) as source:  # type: ignore[arg-type]
        events = [event async for event in source.aiter_sse()]
    assert names(events) == ["reset", "progress", "succeeded"]


async def test_an_ended_job_says_so_at_once(client: httpx.AsyncClient, service: Service) -> None:
    service.worker.proceed.clear()
    path = await queue(client)
    await client.delete(path)
    assert names(await listen(client, path)) == ["progress", "cancelled"]


async def test_cancelling_ends_the_stream(client: httpx.AsyncClient, service: Service) -> None:
    service.worker.proceed.clear()
    path = await queue(client)
    listening = asyncio.ensure_future(listen(client, path))
    await watched(service, path)
    await client.delete(path)
    assert names(await listening)[-1] == "cancelled"


async def test_a_silent_stream_is_kept_open_by_comments(
    client: httpx.AsyncClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_route, "HEARTBEAT_S", 0.01)
    service.worker.proceed.clear()
    path = await queue(client)
    listening = asyncio.ensure_future(client.get(f"{path}/events"))
    await watched(service, path)
    await asyncio.sleep(0.1)
    service.worker.proceed.set()
    assert (await listening).text.count("\n: ping") >= 2


async def test_a_drain_sends_the_watcher_on(client: httpx.AsyncClient, service: Service) -> None:
    service.worker.proceed.clear()
    path = await queue(client)
    listening = asyncio.ensure_future(listen(client, path))
    await watched(service, path)
    service.gate.drain()
    events = await listening
    assert set(names(events)) == {"progress"}
    await asyncio.wait_for(service.gate.idle(), 1)


async def test_a_stream_leaves_nobody_watching(client: httpx.AsyncClient, service: Service) -> None:
    service.worker.proceed.clear()
    path = await queue(client)
    listening = asyncio.ensure_future(listen(client, path))
    claim = await watched(service, path)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    async with asyncio.timeout(5):
        while await service.store.report(claim, 0.5):
            await asyncio.sleep(0.001)


async def test_a_job_that_the_store_lost_ends_its_stream(
    client: httpx.AsyncClient, service: Service
) -> None:
    service.worker.proceed.clear()
    path = await queue(client)
    listening = asyncio.ensure_future(listen(client, path))
    await watched(service, path)

    async def lost(job_id: str, after: int | None) -> AsyncGenerator[News]:
        raise rules.unknown(job_id)
        yield Reset(0)

    service.store.watch = lost  # type: ignore[method-assign]
    events = await listen(client, path)
    assert names(events) == ["failed"]
    assert json.loads(events[0].data)["status"] == "failed"
    service.worker.proceed.set()
    await listening
