"""How long requests may take to arrive, how many may be arriving, and what a stop does to them."""

import asyncio
import socket

import pytest
from wire import BODY, GET, LAST, LENGTH, POST, Wire, answers, assert_refused, one, rest

from service.settings import Settings

pytestmark = pytest.mark.anyio

SHORT_S = 0.3
WHOLE = POST + LENGTH + BODY
HALF_HEAD = GET[:30]
HALF_BODY = POST + LENGTH + BODY[:10]


async def still_open(reader: asyncio.StreamReader) -> bool:
    """Whether nothing has come, not even the end."""
    try:
        async with asyncio.timeout(SHORT_S / 10):
            return not await reader.read(1) and False
    except TimeoutError:
        return True


class TestTime:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(header_timeout_s=SHORT_S, body_timeout_s=SHORT_S)

    @pytest.mark.parametrize(
        ("part", "name"),
        [
            (HALF_HEAD, "header"),
            (b"G", "header"),
            (POST, "header"),
            (HALF_BODY, "body"),
            (POST + LENGTH, "body"),
            (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n" + BODY[:5] + b"\r\n", "body"),
            (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: b", "body"),
        ],
    )
    async def test_is_limited(self, wire: Wire, part: bytes, name: str) -> None:
        answer = assert_refused(await wire.ask(part), 408, "request-timeout")
        assert f"the {name} of the request did not arrive within 0.3 s" in answer.json["detail"]
        found = await wire.ask(WHOLE + part)
        assert [answer.status for answer in found] == [200, 408]
        assert len(wire.service.worker.jobs) == 1

    @pytest.mark.parametrize("part", [HALF_HEAD, HALF_BODY])
    async def test_is_not_won_by_trickling(self, wire: Wire, part: bytes) -> None:
        reader, writer = await wire.connect()
        writer.write(part)
        ended = asyncio.ensure_future(rest(reader))
        while not ended.done():
            writer.write(b" " if part is HALF_BODY else b"a")
            await asyncio.sleep(SHORT_S / 10)
        assert_refused(answers(await ended), 408, "request-timeout")
        writer.close()

    async def test_who_asks_for_nothing_is_told_nothing(self, wire: Wire) -> None:
        assert await wire.ask() == []

    async def test_who_has_been_answered_may_wait(self, wire: Wire) -> None:
        reader, writer = await wire.connect()
        writer.write(GET)
        assert (await one(reader)).status == 200
        await asyncio.sleep(2 * SHORT_S)
        writer.write(LAST)
        assert (await one(reader)).status == 200
        writer.close()

    async def test_what_was_answered_unread_is_not_waited_for(self, wire: Wire) -> None:
        (answer,) = await wire.ask(POST + b"Content-Length: 99999999\r\n\r\n" + BODY)
        assert answer.json["code"] == "body-too-large"

    @pytest.mark.parametrize("part", [HALF_HEAD, HALF_BODY])
    async def test_does_not_run_while_another_request_is_answered(
        self, wire: Wire, part: bytes
    ) -> None:
        wire.service.worker.proceed.clear()
        reader, writer = await wire.connect()
        writer.write(WHOLE + part)
        await asyncio.sleep(3 * SHORT_S)
        wire.service.worker.proceed.set()
        assert (await one(reader)).status == 200
        writer.write((GET if part is HALF_HEAD else WHOLE)[len(part) :])
        assert (await one(reader)).status == 200
        writer.close()


class TestAnswers:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(answer_timeout_s=SHORT_S)

    @staticmethod
    async def ask_for_much(wire: Wire) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int]:
        """A client with room for little, that has asked for much; and how much that is."""
        (answer,) = await wire.ask(LAST.replace(b"/livez", b"/openapi.json"))
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", wire.port))
        client.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=client, limit=1 << 14)
        many = 90
        writer.write(GET.replace(b"/livez", b"/openapi.json") * (many - 1))
        writer.write(LAST.replace(b"/livez", b"/openapi.json"))
        return reader, writer, many * len(answer.body)

    async def test_whoever_takes_nothing_is_left(self, wire: Wire) -> None:
        reader, writer, size = await self.ask_for_much(wire)
        while wire.server.server_state.connections:
            await asyncio.sleep(0.01)
        assert len(await rest(reader)) < size
        writer.close()

    async def test_whoever_takes_little_at_a_time_has_all(self, wire: Wire) -> None:
        reader, writer, size = await self.ask_for_much(wire)
        received = 0
        while piece := await reader.read(1 << 17):
            received += len(piece)
            await asyncio.sleep(SHORT_S / 40)
        assert received > size
        writer.close()

    async def test_a_stop_does_not_wait_for_them(
        self, wire: Wire, caplog: pytest.LogCaptureFixture
    ) -> None:
        reader, writer, size = await self.ask_for_much(wire)
        while not any(one.flow.write_paused for one in wire.server.server_state.connections):
            await asyncio.sleep(0.01)
        wire.server.should_exit = True
        while wire.server.server_state.connections or wire.server.server_state.tasks:
            await asyncio.sleep(0.01)
        assert len(await rest(reader)) < size
        assert "Traceback" not in caplog.text
        writer.close()


class TestNumber:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(max_pending_connections=5)

    @pytest.mark.parametrize("part", [HALF_HEAD, HALF_BODY, b""])
    async def test_who_has_waited_longest_makes_room(self, wire: Wire, part: bytes) -> None:
        opened = []
        for _ in range(9):
            reader, writer = await wire.connect()
            writer.write(part)
            opened.append((reader, writer))
            # One more, which goes again; and the server sees them one after another.
            assert [answer.status for answer in await wire.ask(LAST)] == [200]
        for reader, writer in opened[:5]:
            found = answers(await rest(reader))
            if part:
                answer = assert_refused(found, 408, "request-timeout")
                assert "others needed its place" in answer.json["detail"]
            else:
                assert found == []
            writer.close()
        for reader, writer in opened[-4:]:
            assert await still_open(reader)
            writer.close()

    async def test_who_waits_for_an_answer_is_not_counted(self, wire: Wire) -> None:
        wire.service.worker.proceed.clear()
        asked = [asyncio.ensure_future(wire.ask(WHOLE + LAST)) for _ in range(20)]
        while len(wire.server.server_state.connections) < 20:
            await asyncio.sleep(0.01)
        assert [answer.status for answer in await wire.ask(LAST)] == [200]
        wire.service.worker.proceed.set()
        for found in await asyncio.gather(*asked):
            assert [answer.status for answer in found] == [200, 200]


class TestStop:
    async def test_an_upload_in_progress_is_refused(self, wire: Wire) -> None:
        asked = [asyncio.ensure_future(wire.ask(HALF_BODY)) for _ in range(3)]
        await until_reading(wire, 3)
        wire.service.gate.drain()
        for found in await asyncio.gather(*asked):
            answer = assert_refused(found, 503, "draining")
            assert int(answer.headers["retry-after"]) >= 1
        await asyncio.wait_for(wire.service.gate.idle(), 1)

    async def test_whoever_stalls_does_not_hold_it_up(self, wire: Wire) -> None:
        opened = [await wire.connect() for _ in range(4)]
        for (_, writer), part in zip(opened, (HALF_BODY, HALF_HEAD, b"", GET), strict=True):
            writer.write(part)
        await until_reading(wire, 1)
        wire.service.gate.drain()
        await asyncio.wait_for(wire.service.gate.idle(), 1)
        wire.server.should_exit = True
        received = [await rest(reader) for reader, _ in opened]
        assert [answer.status for answer in answers(received[0])] == [503]
        assert received[1:3] == [b"", b""]
        for _, writer in opened:
            writer.close()

    async def test_what_is_whole_is_answered(self, wire: Wire) -> None:
        wire.service.worker.proceed.clear()
        asked = asyncio.ensure_future(wire.ask(WHOLE))
        while not wire.service.worker.jobs:
            await asyncio.sleep(0.01)
        wire.service.gate.drain()
        wire.server.should_exit = True
        await asyncio.sleep(0.3)
        wire.service.worker.proceed.set()
        assert [answer.status for answer in await asked] == [200]


async def until_reading(wire: Wire, uploads: int) -> None:
    """Wait until so many requests are inside, their bodies on the way."""
    while len(wire.server.server_state.tasks) < uploads:
        await asyncio.sleep(0.01)
