"""A client that sends no more may still listen; one that has left does not."""

import asyncio
import http.client
import socket
import struct
from collections.abc import Callable

import httpx
import pytest
from wire import BODY, GET, LENGTH, POST, Wire, rest

pytestmark = pytest.mark.anyio

WHOLE = POST + LENGTH + BODY


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
async def test_who_sends_no_more_is_answered(wire: Wire, version: bytes) -> None:
    for request in (GET, WHOLE):
        found = await wire.ask(request.replace(b"HTTP/1.1", version), half_close=True)
        assert [answer.status for answer in found] == [200]


async def test_whatever_it_has_asked_for_is_answered(wire: Wire) -> None:
    found = await wire.ask(GET + WHOLE * 3 + GET, half_close=True)
    assert [answer.status for answer in found] == [200] * 5


async def test_it_may_wait_long(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.http.closing.LOOK_EVERY_S", 0.05)
    monkeypatch.setattr("service.http.closing._ECHO_S", 0.05)
    wire.service.worker.proceed.clear()
    asked = asyncio.ensure_future(wire.ask(GET + WHOLE * 2, half_close=True))
    await until(lambda: wire.service.worker.jobs)
    await asyncio.sleep(0.5)
    assert not asked.done()
    assert not wire.service.worker.cancelled
    wire.service.worker.proceed.set()
    statuses = [answer.status for answer in await asked]
    # Only while an answer has not begun may anything else be sent.
    assert [status for status in statuses if status != 100] == [200] * 3
    assert statuses.count(100) >= 2


async def test_a_client_of_the_library_takes_it_for_what_it_is(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.http.closing.LOOK_EVERY_S", 0.01)
    wire.service.worker.proceed.clear()
    connection = http.client.HTTPConnection("127.0.0.1", wire.port)

    def ask() -> int:
        connection.request("POST", "/v1/samples", BODY, {"Content-Type": "application/json"})
        connection.sock.shutdown(socket.SHUT_WR)
        return connection.getresponse().status

    asked = asyncio.ensure_future(asyncio.to_thread(ask))
    await until(lambda: wire.service.worker.jobs)
    await asyncio.sleep(0.3)
    wire.service.worker.proceed.set()
    assert await asked == 200
    connection.close()


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
async def test_the_work_of_one_that_has_left_is_dropped(
    wire: Wire, version: bytes, reset: bool
) -> None:
    wire.service.worker.proceed.clear()
    _, writer = await wire.connect()
    writer.write(WHOLE.replace(b"HTTP/1.1", version))
    await until(lambda: wire.service.worker.jobs)
    if reset:
        client = writer.get_extra_info("socket")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()
    await until(lambda: wire.service.worker.cancelled == [wire.service.worker.jobs[0].id])
    await until(lambda: not wire.server.server_state.connections)


async def test_all_that_one_has_asked_for_is_dropped_when_it_leaves(wire: Wire) -> None:
    wire.service.worker.proceed.clear()
    _, writer = await wire.connect()
    writer.write(WHOLE * 3)
    await until(lambda: wire.service.worker.jobs)
    writer.close()
    await until(lambda: wire.service.worker.cancelled)
    wire.service.worker.proceed.set()
    await until(lambda: not wire.server.server_state.tasks)
    assert len(wire.service.worker.jobs) == 1


@pytest.mark.parametrize("part", [GET[:20], POST + LENGTH + BODY[:10]])
async def test_half_a_request_is_none(wire: Wire, part: bytes) -> None:
    assert await wire.ask(part, half_close=True) == []
    await until(lambda: not wire.server.server_state.tasks)
    assert not wire.service.worker.jobs


async def test_a_stream_of_events_goes_on(wire: Wire) -> None:
    wire.service.worker.proceed.clear()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{wire.port}") as client:
        job = {"kind": "samples", "request": {"model": "tiny"}}
        job_id = (await client.post("/v1/jobs", json=job)).json()["id"]
    reader, writer = await wire.connect()
    writer.write(b"GET /v1/jobs/%b/events HTTP/1.1\r\nHost: x\r\n\r\n" % job_id.encode())
    writer.write_eof()
    await asyncio.sleep(0.1)
    wire.service.worker.proceed.set()
    received = await rest(reader)
    writer.close()
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"event: succeeded" in received
