"""How requests share a connection, and what forms they may have."""

import pytest
from wire import BODY, GET, LAST, LENGTH, POST, Wire, answers, assert_refused, one, rest

pytestmark = pytest.mark.anyio

WHOLE = POST + LENGTH + BODY


async def test_requests_sent_ahead_are_answered_in_their_order(wire: Wire) -> None:
    seeds = range(30)
    requests = [WHOLE.replace(b'"seed": 1', b'"seed": %d' % (seed % 10)) for seed in seeds]
    found = await wire.ask(b"".join(requests) + LAST)
    assert [answer.json["seed"] for answer in found[:-1]] == [seed % 10 for seed in seeds]


async def test_too_many_sent_ahead_are_refused_after_those_that_were_not(wire: Wire) -> None:
    found = await wire.ask(GET * 5000)
    assert 100 <= len(found) <= 103
    assert {answer.status for answer in found[:-1]} == {200}
    assert_refused(found, 429, "rate-limited")


async def test_a_request_that_says_so_is_the_last(wire: Wire) -> None:
    assert len(await wire.ask(LAST + GET)) == 1


async def test_a_client_may_wait_to_be_told_to_send_its_body(wire: Wire) -> None:
    reader, writer = await wire.connect()
    writer.write(POST + b"Expect: 100-continue\r\n" + LENGTH)
    assert (await one(reader)).status == 100
    writer.write(BODY)
    assert (await one(reader)).status == 200
    writer.close()


async def test_a_body_that_will_not_be_read_is_not_asked_for(wire: Wire) -> None:
    reader, writer = await wire.connect()
    writer.write(POST + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
    answer = await one(reader)
    assert (answer.status, answer.json["code"]) == (413, "body-too-large")
    writer.close()


@pytest.mark.parametrize("headers", [b"", b"Host: x\r\n", b"Connection: keep-alive\r\n"])
async def test_http_1_0_is_answered_and_closed(wire: Wire, headers: bytes) -> None:
    (answer,) = await wire.ask(b"GET /livez HTTP/1.0\r\n" + headers + b"\r\n" + GET)
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    length = b"Content-Length: %d\r\n\r\n" % len(BODY)
    kind = b"Content-Type: application/json\r\n"
    (answer,) = await wire.ask(b"POST /v1/samples HTTP/1.0\r\n" + headers + kind + length + BODY)
    assert answer.status == 200


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/livez?a=b", 200),
        (b"/livez#part", 200),
        (b"/%6civez", 200),
        (b"http://x/livez", 200),
        (b"HTTPS://x:443/livez?a", 200),
        (b"http://x", 200),
        (b"http://x?a=b", 200),
        (b"//livez", 404),
        (b"/%zz", 404),
        (b"/%00", 404),
        (b"/\xc3\xa9".replace(b"\xc3\xa9", b"%C3%A9"), 404),
    ],
)
async def test_targets(wire: Wire, target: bytes, status: int) -> None:
    found = await wire.ask(LAST.replace(b"/livez", target))
    assert [answer.status for answer in found] == [status]


@pytest.mark.parametrize("host", [b"", b"x:8000", b"[::1]:8000", b"a_b.c-d", b"127.0.0.1"])
async def test_hosts(wire: Wire, host: bytes) -> None:
    found = await wire.ask(LAST.replace(b"Host: x", b"Host: " + host))
    assert [answer.status for answer in found] == [200]


async def test_empty_lines_before_a_request_are_skipped(wire: Wire) -> None:
    found = await wire.ask(b"\r\n\r\n" + GET + b"\r\n" + LAST)
    assert [answer.status for answer in found] == [200, 200]


@pytest.mark.parametrize("target", [b"/livez", b"/readyz", b"/metrics", b"/v1/models", b"/nowhere"])
async def test_head_has_no_body_on_the_wire(wire: Wire, target: bytes) -> None:
    asked = LAST.replace(b"/livez", target)
    reader, writer = await wire.connect()
    writer.write(asked.replace(b"GET", b"HEAD"))
    received = await rest(reader)
    writer.close()
    (head,) = answers(received, head=True)
    (get,) = await wire.ask(asked)
    assert received.endswith(b"\r\n\r\n")
    assert head.status == get.status
    if target != b"/metrics":  # Which grows.
        assert head.headers["content-length"] == get.headers["content-length"]


async def test_head_that_is_refused_has_no_body_either(wire: Wire) -> None:
    reader, writer = await wire.connect()
    writer.write(b"HEAD /livez HTTP/1.1\r\n\r\n")
    received = await rest(reader)
    writer.close()
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.endswith(b"\r\n\r\n")
