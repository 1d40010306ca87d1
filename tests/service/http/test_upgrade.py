"""A client that would like another protocol is answered in this one (RFC 9110, section 7.8)."""

import pytest
from wire import BODY, GET, LAST, LENGTH, POST, Wire

pytestmark = pytest.mark.anyio

CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (BODY[:5], len(BODY) - 5, BODY[5:])
UPGRADES = {
    "HTTP/2": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEA\r\n",
    "WebSocket": b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n",
    "TLS": b"Connection: upgrade\r\nUpgrade: TLS/1.2\r\n",
    "several": b"Upgrade: a/1, b/2\r\nConnection: Upgrade\r\nUpgrade: c\r\n",
    "unannounced": b"Upgrade: h2c\r\n",
}


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES)
@pytest.mark.parametrize("framed", [LENGTH + BODY, CHUNKED + CHUNKS], ids=["length", "chunks"])
async def test_an_upgrade_is_ignored_and_the_body_read(
    wire: Wire, upgrade: bytes, framed: bytes
) -> None:
    request = POST + upgrade + framed
    found = await wire.ask(request + request + LAST)
    assert [answer.status for answer in found] == [200] * 3
    assert [answer.json["seed"] for answer in found[:2]] == [1, 1]


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES)
async def test_a_request_without_a_body_may_ask_for_one_too(wire: Wire, upgrade: bytes) -> None:
    request = GET.removesuffix(b"\r\n") + upgrade + b"\r\n"
    assert [answer.status for answer in await wire.ask(request * 3 + LAST)] == [200] * 4


async def test_it_may_arrive_byte_after_byte(wire: Wire) -> None:
    request = POST + UPGRADES["HTTP/2"] + LENGTH + BODY + LAST
    found = await wire.ask(*(bytes([byte]) for byte in request))
    assert [answer.status for answer in found] == [200, 200]


async def test_a_request_that_asks_for_a_tunnel_is_refused(wire: Wire) -> None:
    (answer,) = await wire.ask(b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n" + GET)
    assert answer.json["code"] == "malformed-request"
