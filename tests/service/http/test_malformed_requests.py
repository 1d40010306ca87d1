"""What is no HTTP/1.1 request is a problem like any other: told, logged, counted, and the end."""

import logging

import pytest
from wire import BODY, GET, LAST, LENGTH, POST, Wire, assert_refused

pytestmark = pytest.mark.anyio

CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
MALFORMED = {
    "no words": b"nonsense\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(100),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": b"GET /livez\r\n\r\n",
    "another version": GET.replace(b"1.1", b"2.0"),
    "a version of tomorrow": GET.replace(b"1.1", b"1.2"),
    "a method in small letters": GET.replace(b"GET", b"get"),
    "a method of no RFC": GET.replace(b"GET", b"BREW"),
    "a target of no form": GET.replace(b"/livez", b"livez"),
    "a target of all": GET.replace(b"/livez", b"*"),
    "another scheme": GET.replace(b"/livez", b"ftp://x/livez"),
    "raw UTF-8 in the target": GET.replace(b"livez", "lívez".encode()),
    "line feeds alone": GET.replace(b"\r\n", b"\n"),
    "no Host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /livez HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    "a Host that is none": b"GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n",
    "half an address": b"GET /livez HTTP/1.1\r\nHost: [::1\r\n\r\n",
    "no colon": b"GET /livez HTTP/1.1\r\nHost: x\r\nabc\r\n\r\n",
    "no name": b"GET /livez HTTP/1.1\r\nHost: x\r\n: abc\r\n\r\n",
    "a blank before the colon": b"GET /livez HTTP/1.1\r\nHost : x\r\n\r\n",
    "a folded line": b"GET /livez HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "a NUL": b"GET /livez HTTP/1.1\r\nHost: x\r\nA: b\0\r\n\r\n",
    "two framings": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two framings, turned": POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 28\r\n" + LENGTH + BODY,
    "a signed length": POST + b"Content-Length: +28\r\n\r\n" + BODY,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "an empty length": POST + b"Content-Length:\r\n\r\n",
    "a length past all numbers": POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
    "an empty coding": POST + b"Transfer-Encoding:\r\n\r\n",
    "chunks and then another coding": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
    "chunks in HTTP/1.0": CHUNKED.replace(b"1.1", b"1.0"),
    "a chunk size in C": CHUNKED + b"0x1\r\na\r\n0\r\n\r\n",
    "a negative chunk": CHUNKED + b"-1\r\na\r\n0\r\n\r\n",
    "a chunk past all numbers": CHUNKED + b"f" * 17 + b"\r\na\r\n",
    "a chunk longer than it says": CHUNKED + b"1\r\nab\r\n0\r\n\r\n",
    "a chunk after the body has begun": CHUNKED + b"4\r\n" + BODY[:4] + b"\r\nz\r\n",
    "a length in the trailers": CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n",
}


@pytest.mark.parametrize("request_", MALFORMED.values(), ids=MALFORMED)
async def test_malformed(wire: Wire, request_: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mulan.access")
    answer = assert_refused(await wire.ask(request_), 400, "malformed-request")
    (line,) = [record for record in caplog.records if record.name == "mulan.access"]
    assert vars(line)["request_id"] == answer.json["request_id"]
    assert (vars(line)["status"], vars(line)["outcome"]) == (400, "malformed-request")
    (metrics,) = await wire.ask(LAST.replace(b"/livez", b"/metrics"))
    (count,) = [
        counted
        for counted in metrics.body.decode().splitlines()
        if counted.startswith("mulan_http_requests_total") and "malformed-request" in counted
    ]
    assert count.endswith(" 1.0")
    assert not wire.service.worker.jobs


async def test_in_pieces_it_is_malformed_too(wire: Wire) -> None:
    request = MALFORMED["a chunk after the body has begun"]
    found = await wire.ask(*(bytes([byte]) for byte in request))
    assert_refused(found, 400, "malformed-request")


async def test_what_came_before_it_is_answered(wire: Wire) -> None:
    for request in MALFORMED.values():
        found = await wire.ask(GET + POST + LENGTH + BODY + request)
        assert [answer.status for answer in found] == [200, 200, 400]


async def test_what_comes_after_it_is_not_read(wire: Wire) -> None:
    for request in MALFORMED.values():
        assert len(await wire.ask(request, GET, GET)) == 1


async def test_its_request_id_is_kept_where_it_could_be_read(wire: Wire) -> None:
    (answer,) = await wire.ask(b"GET /livez HTTP/1.1\r\nX-Request-Id: mine\r\n\r\n")
    assert answer.headers["x-request-id"] == "mine"
    assert answer.json["instance"] == "/livez"


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"identity", b"deflate"])
async def test_a_coding_that_is_not_read(wire: Wire, coding: bytes) -> None:
    found = await wire.ask(POST + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n")
    assert_refused(found, 415, "unsupported-media-type")


async def test_a_defect_of_ours_is_none_of_the_client(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("service.http.head.check", broken)
    assert_refused(await wire.ask(GET), 500, "computation-failed")
    assert "a bug" in caplog.text
