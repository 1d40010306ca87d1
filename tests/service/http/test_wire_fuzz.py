"""Whatever bytes come, there are answers to them or an end, and the next client is served."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wire import BODY, GET, LAST, LENGTH, POST, rest, serving

from service.settings import Settings

SETTINGS = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = [
    GET,
    GET.replace(b"GET", b"HEAD"),
    POST + LENGTH + BODY,
    POST + CHUNKED + b"1c\r\n%b\r\n0\r\nA: b\r\n\r\n" % BODY,
    POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + LENGTH + BODY,
    POST + b"Expect: 100-continue\r\n" + LENGTH + BODY,
    GET.replace(b"1.1", b"1.0"),
]
PIECES = [
    b"\r\n",
    b"\r",
    b"\n",
    b"\0",
    b":",
    b" ",
    b"\xff",
    b"0",
    b"-1",
    b"chunked",
    b"Upgrade: a\r\n",
]
PIECES += [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: y\r\n", b";a=b"]
PIECES += [b"Connection: close\r\n", b"Connection: upgrade\r\n", b"HTTP/1.0", b"*", b"http://"]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Requests one after another, into which something was put, or from which something is gone."""
    sent = bytearray(b"".join(draw(st.lists(st.sampled_from(WHOLE), min_size=1, max_size=4))))
    for _ in range(draw(st.integers(0, 3))):
        begin = draw(st.integers(0, len(sent)))
        end = begin + draw(st.integers(0, 5))
        sent[begin:end] = draw(st.sampled_from(PIECES) | st.binary(max_size=4))
    return bytes(sent)


async def ask(sent: bytes, piece: int) -> None:
    async with serving(Settings()) as wire:
        reader, writer = await wire.connect()
        for begin in range(0, len(sent), piece):
            writer.write(sent[begin : begin + piece])
            await asyncio.sleep(0)
        writer.write_eof()
        received = await rest(reader)
        writer.close()
        assert b"HTTP/1.1 500" not in received
        if received:
            assert received.startswith(b"HTTP/1.1 ")
        assert [answer.status for answer in await wire.ask(LAST)] == [200]


@SETTINGS
@given(damaged(), st.integers(1, 400))
def test_damaged_requests(sent: bytes, piece: int) -> None:
    asyncio.run(ask(sent, piece))


@SETTINGS
@given(st.binary(max_size=300), st.integers(1, 400))
def test_any_bytes(sent: bytes, piece: int) -> None:
    asyncio.run(ask(sent, piece))


@SETTINGS
@given(st.lists(st.sampled_from(WHOLE), min_size=1, max_size=6), st.integers(1, 400))
def test_whole_requests_are_all_answered(requests: list[bytes], piece: int) -> None:
    async def run() -> None:
        async with serving(Settings()) as wire:
            reader, writer = await wire.connect()
            for begin in range(0, len(sent := b"".join(requests)), piece):
                writer.write(sent[begin : begin + piece])
                await asyncio.sleep(0)
            writer.write_eof()
            received = await rest(reader)
            writer.close()
            last = next((at for at, one in enumerate(requests) if b"1.0" in one), len(requests) - 1)
            assert received.count(b"HTTP/1.1 200") == last + 1

    asyncio.run(run())
