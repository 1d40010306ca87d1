"""What surrounds a body is bounded: bytes and lines, before the request and after it."""

import asyncio

import pytest
from wire import BODY, GET, LAST, LENGTH, POST, Wire, assert_refused

from service.http import head
from service.http.closing import LINGER_BYTES

pytestmark = pytest.mark.anyio

START = GET.removesuffix(b"\r\n")
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = b"%x\r\n%b\r\n" % (len(BODY), BODY)
MUCH = b"a" * (head.MOST_BYTES + 1)
# What is never whole is noticed within the next read, of 256 KiB.
ENDLESS = MUCH * 5
LINES = b"a: b\r\n" * head.MOST_LINES
TOO_MUCH = {
    "a target": b"GET /" + MUCH + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target without an end": b"GET /" + ENDLESS,
    "a name": START + MUCH + b": b\r\n\r\n",
    "a name without an end": START + ENDLESS,
    "a value": START + b"a: " + MUCH + b"\r\n\r\n",
    "a value without an end": START + b"a: " + ENDLESS,
    "a value of blanks": START + b"a:" + b" " * len(ENDLESS),
    "lines": START + LINES + b"\r\n",
    "lines without an end": START + LINES * 1000,
    "long lines": START + b"a: " + MUCH[: head.MOST_BYTES // 2] + b"\r\nb: " + MUCH + b"\r\n\r\n",
    "empty lines": b"\r\n" * len(ENDLESS),
    "a chunk extension": CHUNKED + b"1;" + MUCH + b"\r\n",
    "a chunk extension without an end": CHUNKED + b"1;" + ENDLESS,
    "chunk extensions": CHUNKED + b"1;%b\r\na\r\n" % MUCH[:200] * 1000,
    "a chunk size of zeros": CHUNKED + b"0" * len(ENDLESS),
    "a trailer": CHUNKED + WHOLE + b"0\r\na: " + MUCH + b"\r\n\r\n",
    "a trailer without an end": CHUNKED + WHOLE + b"0\r\na: " + ENDLESS,
    "trailers": CHUNKED + WHOLE + b"0\r\n" + LINES + b"\r\n",
    "an upgrade": START + b"Connection: Upgrade\r\nUpgrade: h2c\r\na: " + MUCH + b"\r\n\r\n",
}


@pytest.mark.parametrize("request_", TOO_MUCH.values(), ids=TOO_MUCH)
async def test_too_much_is_refused_and_the_connection_closed(wire: Wire, request_: bytes) -> None:
    assert_refused(await wire.ask(request_), 431, "headers-too-large")
    assert not wire.service.worker.jobs


async def test_what_was_asked_before_is_answered_before(wire: Wire) -> None:
    found = await wire.ask(GET + POST + LENGTH + BODY + START + b"a: " + ENDLESS)
    assert [answer.status for answer in found] == [200, 200, 431]


@pytest.mark.parametrize("piece", [1000, 30_000])
async def test_in_pieces_too(wire: Wire, piece: int) -> None:
    sent = START + b"a: " + ENDLESS
    pieces = (sent[at : at + piece] for at in range(0, len(sent), piece))
    assert_refused(await wire.ask(*pieces), 431, "headers-too-large")


async def test_what_is_within_the_bounds_is_served(wire: Wire) -> None:
    as_long = START + b"a: " + b"b" * (head.MOST_BYTES - 100) + b"\r\n\r\n"
    as_many = START + b"a: b\r\n" * (head.MOST_LINES - 1) + b"\r\n"
    with_trailer = CHUNKED + WHOLE + b"0\r\nX-Checksum: 1\r\n\r\n"
    with_extension = CHUNKED + WHOLE.replace(b"\r\n", b";a=b\r\n", 1) + b"0\r\n\r\n"
    requests = [as_long, as_many, with_trailer, with_extension]
    found = await wire.ask(b"".join(requests) + LAST)
    assert [answer.status for answer in found] == [200] * 5


async def test_a_body_in_many_small_chunks_is_a_body(wire: Wire) -> None:
    padded = BODY + b" " * 100_000
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in padded)
    found = await wire.ask(CHUNKED + chunks + b"0\r\n\r\n" + LAST)
    assert [answer.status for answer in found] == [200, 200]


async def test_a_trailer_is_no_header(wire: Wire) -> None:
    trailer = b"0\r\nX-Request-Id: late\r\n\r\n"
    first, _ = await wire.ask(CHUNKED + WHOLE + trailer + LAST)
    assert first.status == 200
    assert first.headers["x-request-id"] != "late"


async def test_an_endless_header_is_not_taken_for_long(wire: Wire) -> None:
    _, writer = await wire.connect()
    writer.write(START + b"a: ")
    sent, most = 0, LINGER_BYTES + (32 << 20)  # What the kernel buffers of both ends may hold.
    try:
        while sent < 2 * most:
            writer.write(b"a" * (1 << 16))
            await writer.drain()
            sent += 1 << 16
    except ConnectionError:
        pass
    assert sent < most
    writer.close()
    assert [answer.status for answer in await wire.ask(LAST)] == [200]


async def test_others_are_answered_meanwhile(wire: Wire) -> None:
    attacks = [wire.ask(request) for request in TOO_MUCH.values() for _ in range(3)]
    attacking = asyncio.gather(*attacks)
    assert [answer.status for answer in await wire.ask(GET + POST + LENGTH + BODY + LAST)] == [
        200,
        200,
        200,
    ]
    assert {answers[-1].status for answers in await attacking} == {431}
