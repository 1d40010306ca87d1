"""Bytes to a server that really listens, and its answers."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from api_double import Service

from service.http.server import Server
from service.settings import Settings

BODY = b'{"model": "tiny", "seed": 1}'
POST = b"POST /v1/samples HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n\r\n" % len(BODY)
GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
WITHIN_S = 10.0


@dataclass(frozen=True)
class Answer:
    """One answer, as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Wire:
    """Connections to a service on loopback."""

    def __init__(self, service: Service, server: Server, port: int) -> None:
        self.service, self.server, self.port = service, server, port

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, *pieces: bytes, half_close: bool = False) -> list[Answer]:
        """Send piece after piece; every answer until the server closes the connection."""
        reader, writer = await self.connect()
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            if len(pieces) > 1:
                await asyncio.sleep(0)
        if half_close:
            writer.write_eof()
        found = await rest(reader)
        writer.close()
        return answers(found)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection ends."""
    found = b""
    async with asyncio.timeout(WITHIN_S):
        try:
            while piece := await reader.read(1 << 16):
                found += piece
        except ConnectionError:
            pass
    return found


async def one(reader: asyncio.StreamReader) -> Answer:
    """The next answer, of a connection that stays open."""
    async with asyncio.timeout(WITHIN_S):
        head = await reader.readuntil(b"\r\n\r\n")
        status, headers = _parse(head)
        return Answer(status, headers, await reader.readexactly(_length(status, headers)))


def answers(received: bytes, head: bool = False) -> list[Answer]:
    """Answers one after another; those to HEAD have no body."""
    found = []
    while received:
        start, _, received = received.partition(b"\r\n\r\n")
        status, headers = _parse(start)
        length = 0 if head else _length(status, headers)
        found.append(Answer(status, headers, received[:length]))
        received = received[length:]
    return found


def _parse(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode().strip().split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    return int(first.split()[1]), {name.lower(): value for name, value in pairs}


def _length(status: int, headers: dict[str, str]) -> int:
    return 0 if status < 200 else int(headers["content-length"])


def assert_refused(found: list[Answer], status: int, code: str) -> Answer:
    """One problem was the last answer; whatever refuses a request ends its connection."""
    answer = found[-1]
    assert (answer.status, answer.json["code"]) == (status, code), answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert answer.json["request_id"] == answer.headers["x-request-id"]
    assert len(answer.body) < 1000
    return answer


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Wire]:
    """The API over a worker that computes nothing, behind the server of every process."""
    service = Service(settings)
    service.gate.open()
    server = Server(service.app, settings, service.gate)
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    working = asyncio.create_task(service.worker.run())
    answering = asyncio.create_task(server.serve([listener]))
    try:
        yield Wire(service, server, listener.getsockname()[1])
    finally:
        if not server.should_exit:
            # A stop takes a while; those who test it have begun it themselves.
            answering.cancel()
            for listening in server.servers:
                listening.close()
            for connection in list(server.server_state.connections):
                connection.transport.abort()
        working.cancel()
        await asyncio.gather(answering, working, return_exceptions=True)
