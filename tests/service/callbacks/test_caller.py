"""Calls about ended jobs: signed, retried, given up, and never to an address that is not public."""

import asyncio
import base64
import json
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from receiver import Received, receiving
from standardwebhooks import Webhook, WebhookVerificationError

from models.schema.specs import Ddpm
from service.callbacks import caller as callers
from service.callbacks import sending
from service.callbacks.caller import BACKOFF_S, Caller
from service.errors import ComputationFailed
from service.jobs import Job
from service.kinds.samples.task import SampleTask
from service.settings import Settings
from service.store.bounds import REMEMBERED_S, Bounds
from service.store.memory import MemoryStore
from service.telemetry.callbacks import CallbackMetrics

pytestmark = pytest.mark.anyio

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def receiver() -> Iterator[Received]:
    with receiving() as received:
        yield received


class Clock:
    """Seconds since the epoch, moved by hand."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Calling:
    """A caller over a store whose clock a test moves."""

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self.clock = Clock()
        self.store = MemoryStore(Bounds(8, 8, 60.0), self.clock)
        self.registry = CollectorRegistry()
        settings = Settings(callback_hosts=hosts, callback_secret=SECRET)
        self.caller = Caller(self.store.callbacks, settings, CallbackMetrics(self.registry))

    async def end(self, url: str, name: str = "one") -> None:
        task = SampleTask(Ddpm(steps=5), seed=0, count=1)
        await self.store.put(Job(name, "a" * 64, task, 2e3, 1e3, callback_url=url))
        claim = await self.store.claim(["a" * 64])
        await self.store.complete(claim, ComputationFailed("it failed"))

    async def attempt(self) -> None:
        """Make the calls that are due now."""
        while call := await self.store.callbacks.take(60):
            await self.caller._make(call)

    def count(self, outcome: str) -> float:
        found = self.registry.get_sample_value("mulan_callbacks_total", {"outcome": outcome})
        return found or 0.0


@pytest.fixture
async def calling() -> AsyncIterator[Calling]:
    calling = Calling(("127.0.0.1",))
    yield calling
    await calling.caller.close(1)


async def test_a_call_is_verified_by_the_librarys_own_receiver(
    calling: Calling, receiver: Received
) -> None:
    await calling.end(f"http://127.0.0.1:{receiver.port}/hook?a=1")
    await calling.attempt()
    (body,), (headers,) = receiver.bodies, receiver.headers
    told = Webhook(SECRET).verify(body, headers)
    assert receiver.paths == ["/hook?a=1"]
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert headers["webhook-id"] == "job_one_1000000"
    assert told["type"] == "job.failed"
    assert told["data"]["id"] == "one"
    assert told["data"]["status"] == "failed"
    assert told["timestamp"] == "1970-01-01T00:16:40+00:00"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"one", b"two"), headers)
    assert calling.count("delivered") == 1
    calling.clock.now += 1e6
    await calling.attempt()
    assert len(receiver.bodies) == 1


async def test_attempts_are_repeated_with_backoff_until_one_succeeds(
    calling: Calling, receiver: Received
) -> None:
    receiver.statuses = [500, 429]
    await calling.end(f"http://127.0.0.1:{receiver.port}/")
    await calling.attempt()
    for number, pause in enumerate(BACKOFF_S[:2], 1):
        calling.clock.now += pause - 1
        await calling.attempt()
        assert len(receiver.bodies) == number
        calling.clock.now += 1
        await calling.attempt()
        assert len(receiver.bodies) == number + 1
    assert len(set(receiver.bodies)) == 1
    assert {headers["webhook-id"] for headers in receiver.headers} == {"job_one_1000000"}
    assert (calling.count("rejected"), calling.count("delivered")) == (2, 1)


async def test_a_call_is_given_up_in_the_end(calling: Calling, receiver: Received) -> None:
    receiver.statuses = [500] * 20
    await calling.end(f"http://127.0.0.1:{receiver.port}/")
    for _ in range(10):
        await calling.attempt()
        calling.clock.now += max(BACKOFF_S)
    assert len(receiver.bodies) == len(BACKOFF_S) + 1
    assert calling.count("given-up") == 1


async def test_a_receiver_that_is_gone_is_not_asked_again(
    calling: Calling, receiver: Received
) -> None:
    receiver.statuses = [410]
    await calling.end(f"http://127.0.0.1:{receiver.port}/")
    await calling.attempt()
    calling.clock.now += 1e6
    await calling.attempt()
    assert len(receiver.bodies) == 1
    assert calling.count("given-up") == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(
    calling: Calling, receiver: Received, status: int
) -> None:
    receiver.statuses = [status]
    await calling.end(f"http://127.0.0.1:{receiver.port}/hook")
    await calling.attempt()
    assert receiver.paths == ["/hook"]
    assert calling.count("rejected") == 1


async def test_nobody_listens(calling: Calling) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    await calling.end(f"http://127.0.0.1:{port}/")
    await calling.attempt()
    assert calling.count("unreachable") == 1
    assert await calling.store.callbacks.take(60) is None


async def test_the_log_has_no_url(calling: Calling, caplog: pytest.LogCaptureFixture) -> None:
    await calling.end("http://127.0.0.1:1/secret-path")
    await calling.attempt()
    assert "a callback failed" in caplog.text
    assert "secret-path" not in caplog.text


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["10.0.0.7"],
        ["::1"],
        ["fe80::1%eth0"],
        ["::ffff:127.0.0.1"],
        ["93.184.216.34", "127.0.0.1"],
    ],
)
async def test_a_name_that_leads_inside_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch, receiver: Received, addresses: list[str]
) -> None:
    """Also where only one of its addresses does: the name's owner chooses their order."""
    calling = Calling(("hooks.example.com",))

    async def lead(host: str, port: int, **_: Any) -> list[Any]:
        assert host == "hooks.example.com"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lead)
    await calling.end(f"http://hooks.example.com:{receiver.port}/")
    await calling.attempt()
    assert receiver.bodies == []
    assert calling.count("forbidden") == 1
    assert calling.count("given-up") == 1
    await calling.caller.close(1)


async def test_the_connection_goes_to_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch, receiver: Received
) -> None:
    """A name is resolved once: a second answer could lead elsewhere."""
    calling, asked = Calling(("hooks.example.com", "127.0.0.1")), []
    resolve = asyncio.get_running_loop().getaddrinfo

    async def lead(host: str, port: int, **more: Any) -> list[Any]:
        asked.append(host)
        if host == "hooks.example.com":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        return list(await resolve(host, port, **more))

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lead)
    await calling.end(f"http://hooks.example.com:{receiver.port}/")
    await calling.attempt()
    assert asked.count("hooks.example.com") == 1
    assert receiver.headers[0]["host"] == f"hooks.example.com:{receiver.port}"
    await calling.caller.close(1)


async def test_a_host_that_has_left_the_list_is_not_called(receiver: Received) -> None:
    calling = Calling(("hooks.example.com",))
    await calling.end(f"http://127.0.0.1:{receiver.port}/")
    await calling.attempt()
    assert receiver.bodies == []
    assert calling.count("forbidden") == 1
    await calling.caller.close(1)


async def test_slow_receivers_do_not_hold_up_others(
    monkeypatch: pytest.MonkeyPatch, receiver: Received
) -> None:
    monkeypatch.setattr(callers, "LOOK_EVERY_S", 0.01)
    calling = Calling(("127.0.0.1",))
    silent = socket.create_server(("127.0.0.1", 0))
    await calling.end(f"http://127.0.0.1:{silent.getsockname()[1]}/", "slow")
    running = asyncio.create_task(calling.caller.run())
    await calling.end(f"http://127.0.0.1:{receiver.port}/", "quick")
    async with asyncio.timeout(5):
        while not receiver.bodies:
            await asyncio.sleep(0.01)
    assert json.loads(receiver.bodies[0])["data"]["id"] == "quick"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await calling.caller.close(0.1)
    silent.close()


def test_the_schedule_ends_before_a_job_is_forgotten() -> None:
    assert sum(BACKOFF_S) + len(BACKOFF_S) * callers.LEASE_S < REMEMBERED_S


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(
    ("name", "outcome"), [("hooks.example.com", "delivered"), ("other", "unreachable")]
)
async def test_the_certificate_has_to_be_the_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, outcome: str
) -> None:
    """The connection goes to an address, and the name is what the certificate is for."""
    certificate, key = tmp_path / "certificate", tmp_path / "key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test"]
    command += ["-addext", f"subjectAltName=DNS:{name}"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)

    async def lead(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    asked = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()

    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(certificate, key)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=served)
    port = server.sockets[0].getsockname()[1]
    trusted = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(sending.ssl, "create_default_context", lambda: trusted)
    calling = Calling(("hooks.example.com", "127.0.0.1"))
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lead)
    await calling.end(f"https://hooks.example.com:{port}/")
    await calling.attempt()
    assert calling.count(outcome) == 1
    assert len(asked) == (outcome == "delivered")
    await calling.caller.close(1)
    server.close()
