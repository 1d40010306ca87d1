"""Phases, deadlines, departures, drains: when work is let in, and when it is dropped."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from api_double import Service, assert_problem

from service.api import waiting
from service.errors import StoreUnavailable, UnknownJob
from service.settings import Settings
from service.store import rules
from service.store.base import JobRecord

pytestmark = pytest.mark.anyio

BODY = {"model": "tiny", "seed": 1}


async def until(condition: Any) -> None:
    async with asyncio.timeout(2):
        while not condition():
            await asyncio.sleep(0.001)


async def assert_forgotten(service: Service) -> None:
    for job in service.worker.jobs:
        with pytest.raises(UnknownJob):
            await service.store.record(job.id)


async def test_not_ready_before_the_models_are_loaded() -> None:
    service = Service(Settings())
    async with service.client() as client:
        assert (await client.get("/livez")).json() == {"status": "alive"}
        for response in (
            await client.get("/readyz"),
            await client.get("/v1/models"),
            await client.get("/v1/models/tiny"),
            await client.post("/v1/samples", json=BODY),
        ):
            assert_problem(response, 503, "not-ready")
            assert int(response.headers["retry-after"]) >= 1
        service.gate.open()
        assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_a_drain_lets_the_running_end_and_nobody_in(
    client: httpx.AsyncClient, service: Service
) -> None:
    service.worker.proceed.clear()
    running = asyncio.ensure_future(client.post("/v1/samples", json=BODY))
    await until(lambda: service.worker.jobs)
    service.gate.drain()
    idle = asyncio.ensure_future(service.gate.idle())
    for response in (await client.get("/readyz"), await client.post("/v1/samples", json=BODY)):
        assert_problem(response, 503, "draining")
        assert int(response.headers["retry-after"]) >= 1
    assert (await client.get("/livez")).status_code == 200
    assert not idle.done()
    service.worker.proceed.set()
    assert (await running).status_code == 200
    await asyncio.wait_for(idle, 1)


async def test_who_is_still_waiting_when_a_drain_is_over_is_sent_home(
    client: httpx.AsyncClient, service: Service
) -> None:
    service.worker.proceed.clear()
    running = asyncio.ensure_future(client.post("/v1/samples", json=BODY))
    await until(lambda: service.worker.jobs)
    service.gate.drain()
    service.gate.close()
    assert_problem(await running, 503, "draining")
    await asyncio.wait_for(service.gate.idle(), 1)
    await until(lambda: service.worker.cancelled)


async def test_a_drain_during_loading_is_not_undone() -> None:
    service = Service(Settings())
    service.gate.drain()
    service.gate.open()
    await asyncio.wait_for(service.gate.idle(), 1)
    async with service.client() as client:
        assert_problem(await client.get("/readyz"), 503, "draining")


async def test_timeout_drops_the_work(client: httpx.AsyncClient, service: Service) -> None:
    service.worker.proceed.clear()
    response = await client.post("/v1/samples", json=BODY | {"timeout_s": 0.05})
    problem = assert_problem(response, 504, "deadline-exceeded")
    assert problem["job"] == service.worker.jobs[0].id
    await until(lambda: service.worker.cancelled == [service.worker.jobs[0].id])
    await assert_forgotten(service)


@pytest.mark.parametrize("settings", [Settings(max_timeout_s=0.05)])
async def test_the_server_bounds_the_timeout(client: httpx.AsyncClient, service: Service) -> None:
    service.worker.proceed.clear()
    response = await client.post("/v1/samples", json=BODY | {"timeout_s": 1000})
    assert_problem(response, 504, "deadline-exceeded")
    assert service.worker.jobs[0].deadline - service.worker.jobs[0].created_at < 0.06


@pytest.mark.parametrize("path", ["/v1/samples", "/v2/models/tiny/infer"])
async def test_a_client_that_leaves_takes_its_work_along(service: Service, path: str) -> None:
    service.worker.proceed.clear()
    leave = asyncio.Event()
    body = BODY if path.startswith("/v1") else {}
    messages = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await leave.wait()
        return {"type": "http.disconnect"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "scheme": "http",
        "server": ("test", 80),
    }
    request = asyncio.ensure_future(service.app(scope, receive, send))
    await until(lambda: service.worker.jobs)
    assert not request.done()
    leave.set()
    await asyncio.wait_for(request, 1)
    await until(lambda: service.worker.cancelled == [service.worker.jobs[0].id])
    await assert_forgotten(service)
    assert all(message.get("status") != 500 for message in sent)


async def test_who_leaves_while_the_store_is_away_takes_the_work_along_later(
    client: httpx.AsyncClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.worker.proceed.clear()
    asked = asyncio.ensure_future(client.post("/v1/samples", json=BODY))
    await until(lambda: service.worker.jobs)
    leave, failures = service.store.leave, [StoreUnavailable("gone fishing")]

    async def away_once(job_id: str, waiter: str) -> None:
        if failures:
            raise failures.pop()
        await leave(job_id, waiter)

    monkeypatch.setattr(service.store, "leave", away_once)
    monkeypatch.setattr(waiting, "_AGAIN_S", 0.01)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await until(lambda: service.worker.cancelled == [service.worker.jobs[0].id])


async def put_in_vain(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let jobs be admitted, and nobody told."""
    put = service.store.put

    async def unheard(*arguments: Any) -> str:
        await put(*arguments)
        raise StoreUnavailable("gone fishing")

    monkeypatch.setattr(service.store, "put", unheard)


async def test_a_job_whose_admission_was_not_heard_of_is_left(
    client: httpx.AsyncClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.worker.proceed.clear()
    await put_in_vain(service, monkeypatch)
    response = await client.post("/v1/samples", json=BODY)
    assert_problem(response, 503, "store-unavailable")
    await until(lambda: not service.context.background_tasks)
    assert (await service.store.jobs(None, None, 300, None)).jobs == []


async def test_an_admission_not_heard_of_can_be_asked_for_by_its_key(
    client: httpx.AsyncClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = {"Idempotency-Key": "once"}
    with monkeypatch.context() as patch:
        await put_in_vain(service, patch)
        response = await client.post("/v1/samples", json=BODY, headers=key)
        assert_problem(response, 503, "store-unavailable")
    assert (await client.post("/v1/samples", json=BODY, headers=key)).status_code == 200
    assert len(service.worker.jobs) == 1


async def test_many_who_leave_leave_no_task_and_no_job(
    client: httpx.AsyncClient, service: Service
) -> None:
    service.worker.proceed.clear()
    assert (await client.get("/livez")).status_code == 200
    before = len(asyncio.all_tasks())
    asked = [asyncio.ensure_future(client.post("/v1/samples", json=BODY)) for _ in range(200)]
    for number, request in enumerate(asked):
        if number % 7 == 0:
            await asyncio.sleep(0.002)
        request.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    await until(lambda: len(asyncio.all_tasks()) == before)
    assert (await service.store.jobs(None, None, 300, None)).jobs == []
    service.worker.proceed.set()
    assert (await client.post("/v1/samples", json=BODY)).status_code == 200


async def test_ended_jobs_leave_nothing_behind(client: httpx.AsyncClient, service: Service) -> None:
    for _ in range(3):
        assert (await client.post("/v1/samples", json=BODY)).status_code == 200
    await assert_forgotten(service)


@pytest.mark.parametrize("settings", [Settings(max_queued_jobs=2)])
async def test_a_full_queue_refuses_with_a_time(
    client: httpx.AsyncClient, service: Service
) -> None:
    service.worker.proceed.clear()
    accepted = [asyncio.ensure_future(client.post("/v1/samples", json=BODY))]
    await until(lambda: service.worker.jobs)
    accepted += [asyncio.ensure_future(client.post("/v1/samples", json=BODY)) for _ in range(2)]
    await asyncio.sleep(0.05)
    response = await client.post("/v1/samples", json=BODY)
    assert_problem(response, 429, "queue-full")
    assert int(response.headers["retry-after"]) >= 1
    service.worker.proceed.set()
    assert [(await answer).status_code for answer in accepted] == [200] * 3


async def test_a_job_that_the_store_lost_is_to_be_sent_again(
    client: httpx.AsyncClient, service: Service
) -> None:
    async def lost(job_id: str) -> JobRecord:
        raise rules.unknown(job_id)

    service.store.wait = lost  # type: ignore[method-assign]
    response = await client.post("/v1/samples", json={"model": "tiny"})
    problem = assert_problem(response, 503, "store-unavailable")
    assert "or dropped it because this process could not reach it" in str(problem["detail"])
    assert "send it again" in str(problem["detail"])
    assert int(response.headers["retry-after"]) >= 1
