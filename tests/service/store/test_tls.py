"""Redis over TLS: a Redis Cluster and Sentinels, certificates that do not fit, and those that are
renewed."""

import asyncio
import contextlib
import re
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hiredis
import pytest
from certificates import Authority
from proxies import Proxy
from redis.exceptions import RedisError
from redis_server import RedisServer
from secure_servers import SecureCluster, SecureWatched
from store_setup import RESULT, A, is_result, job

from service.errors import ServeError, StoreUnavailable
from service.settings import Settings
from service.store import connection, links, telling
from service.store.base import Store
from service.store.connection import check, connect_all
from service.store.directions import ClusterMap
from service.store.links import Trust
from service.store.opening import open_store
from service.store.retry import retry_while_unavailable
from service.store.shards import new_id

pytestmark = [pytest.mark.anyio, pytest.mark.needs("openssl")]

SHARDS = 3


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def client_options(authority: Authority) -> str:
    """The part of a URL that names the authority and a client's certificate."""
    certificate, key = authority.issue("DNS:client")
    trusted = f"ssl_ca_certs={authority.certificate}"
    return f"{trusted}&ssl_certfile={certificate}&ssl_keyfile={key}"


@pytest.fixture(autouse=True)
def told_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "_told", {})
    monkeypatch.setattr(connection, "_places", set())


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[SecureCluster]:
    served = authority.served("DNS:localhost", asks_clients=True)
    with SecureCluster(tmp_path_factory.mktemp("cluster"), served) as cluster:
        yield cluster


async def go_round(store: Store, name: str) -> None:
    """A job is put, claimed, told of and done, and somebody who waits for it hears so."""
    await store.put(replace(job(name), deadline=time.time() + 600), attended=True)
    waiting = asyncio.ensure_future(store.wait(name))
    watching = store.watch(name, None)
    await anext(watching)
    held = await asyncio.wait_for(store.claim((A,)), 30)
    assert held.job.id == name
    await store.report(held, 0.5)
    await anext(watching)
    assert await store.renew([held]) == []
    assert await store.complete(held, RESULT)
    assert is_result((await asyncio.wait_for(waiting, 30)).outcome)
    await watching.aclose()


async def test_a_job_goes_round_in_each_shard_of_a_cluster(
    cluster: SecureCluster, client_options: str
) -> None:
    """Every connection shows a certificate, and has the user of the URL."""
    for node in cluster.nodes:
        with node.client() as client:
            client.execute_command("ACL SETUSER mulan on >secret ~* &* +@all")
    url = cluster.url.replace("rediss+cluster://", "rediss+cluster://mulan:secret@")
    async with open_store(Settings(store=f"{url}&{client_options}")) as (store, shared):
        assert shared is not None
        await shared.wait_until_reachable()
        for shard in range(SHARDS):
            await go_round(store, new_id(time.time(), shard, SHARDS))
        for node in cluster.nodes:
            with node.client() as client:
                clients = client.client_list()
                users = [one["user"] for one in clients if one["id"] != str(client.client_id())]
            assert users
            assert set(users) == {"mulan"}


async def test_a_job_goes_round_with_sentinels_and_after_a_takeover(
    tmp_path: Path, authority: Authority, client_options: str
) -> None:
    served = authority.served("DNS:localhost", asks_clients=True)
    with SecureWatched(tmp_path, served) as watched:
        settings = Settings(store=f"{watched.url}?{client_options}")
        async with open_store(settings) as (store, shared):
            assert shared is not None
            await shared.wait_until_reachable()
            await go_round(store, store.new_id())
            watched.primary.stop()
            async with asyncio.timeout(60):
                await retry_while_unavailable(lambda: store.check_capacity("", 10**12))
            await go_round(store, store.new_id())


@pytest.mark.parametrize("kind", ["", "+cluster", "+sentinel"])
@pytest.mark.parametrize(
    ("certified", "options", "words"),
    [
        ("DNS:other", "{trusted}", "not valid for 'localhost'.*use a name that is in the cert"),
        ("IP:127.0.0.1", "{trusted}", "not valid for 'localhost'.*cluster-announce-hostname"),
        ("DNS:localhost", "ssl_check_hostname=no", "CERTIFICATE_VERIFY_FAILED.*ssl_ca_certs in"),
        ("DNS:localhost asks", "{trusted}", "ssl_certfile and ssl_keyfile in the URL"),
        ("nothing", "{trusted}", "speaks no TLS, its URL has to begin with redis,"),
    ],
)
async def test_why_no_connection_comes_about_is_told(
    server: RedisServer,
    authority: Authority,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    certified: str,
    options: str,
    words: str,
) -> None:
    name, _, asks = certified.partition(" ")
    tls = None if name == "nothing" else authority.served(name, asks_clients=bool(asks))
    path = {"+sentinel": "queue/0"}.get(kind, "")
    options = options.format(trusted=f"ssl_ca_certs={authority.certificate}")
    with Proxy(server.port, tls) as proxy:
        url = f"rediss{kind}://:hunter2@localhost:{proxy.port}/{path}?{options}"
        await is_told(url, words, caplog)


@pytest.mark.parametrize("kind", ["", "+cluster", "+sentinel"])
async def test_a_url_without_tls_of_a_server_with_it(
    server: RedisServer, authority: Authority, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    path = {"+sentinel": "queue/0"}.get(kind, "")
    with Proxy(server.port, authority.served("DNS:localhost")) as proxy:
        url = f"redis{kind}://:hunter2@localhost:{proxy.port}/{path}"
        await is_told(url, "speaks TLS, its URL has to begin with rediss", caplog)


async def is_told(url: str, words: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever uses this URL is refused, and the log says why in these words."""
    async with connect_all(url) as connected:
        # On a slow machine a handshake may take longer than a connection may.
        for _ in range(10):
            with pytest.raises(StoreUnavailable):
                await check(connected[0])
            if re.search(words, caplog.text):
                break
    assert re.search(words, caplog.text)
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("kind", ["", "+cluster", "+sentinel"])
async def test_certificates_that_cannot_be_read_stop_the_start(
    tmp_path: Path, authority: Authority, kind: str
) -> None:
    other = tmp_path / "other"
    other.write_text("no certificate")
    path = {"+sentinel": "queue/0"}.get(kind, "")
    for options in ("ssl_ca_certs={file}", "ssl_certfile={file}&ssl_keyfile={file}"):
        for file in (tmp_path / "nowhere", other):
            url = f"rediss{kind}://localhost/{path}?{options.format(file=file)}"
            with pytest.raises(
                ServeError, match=r"certificates that cannot be read \(ssl_ca_certs"
            ):
                async with connect_all(url):
                    pass
    with pytest.raises(ServeError, match="is no URL of a Redis"):
        async with connect_all(f"rediss{kind}://localhost/{path}?ssl_cert_reqs=some"):
            pass


def test_a_renewed_certificate_is_used_and_one_that_is_broken_is_not(
    tmp_path: Path,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = tmp_path / "trusted.pem"
    file.write_bytes(authority.certificate.read_bytes())
    trust = Trust({"ssl_ca_certs": str(file), "db": 0})
    first = trust.context()
    assert trust.context() is first
    monkeypatch.setattr(links, "READ_AGAIN_S", -1.0)
    file.write_text("half")
    assert trust.context() is first
    assert "cannot be read, and older ones are used" in caplog.text
    other = Authority(tmp_path / "other")
    file.write_bytes(other.certificate.read_bytes())
    renewed = ssl.PEM_cert_to_DER_cert(other.certificate.read_text())
    assert renewed in trust.context().get_ca_certs(binary_form=True)
    assert renewed not in first.get_ca_certs(binary_form=True)


async def scripted(slots: list[object]) -> asyncio.Server:
    """A server that answers CLUSTER SLOTS with this, and anything else with OK."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = hiredis.Reader()
        while data := await reader.read(65_536):
            commands.feed(data)
            while command := commands.gets():
                writer.write(packed(slots) if command[0] == b"CLUSTER" else b"+OK\r\n")
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


def packed(value: object) -> bytes:
    """A value as Redis sends it."""
    match value:
        case int():
            return b":%d\r\n" % value
        case str():
            return b"$%d\r\n%s\r\n" % (len(value), value.encode())
        case list():
            return b"*%d\r\n" % len(value) + b"".join(map(packed, value))
    return b"$-1\r\n"


@pytest.mark.parametrize(
    ("host", "facts", "over_tls", "without"),
    [
        ("10.0.0.7", [], "10.0.0.7", "10.0.0.7"),
        ("10.0.0.7", ["hostname", "queue-7.example"], "queue-7.example", "10.0.0.7"),
        ("10.0.0.7", ["hostname", ""], "10.0.0.7", "10.0.0.7"),
        ("queue-7.example", ["ip", "10.0.0.7"], "queue-7.example", "queue-7.example"),
        ("?", ["ip", "10.0.0.7"], "10.0.0.7", "10.0.0.7"),
        (None, ["ip", "10.0.0.7"], "localhost", "localhost"),
        (None, ["ip", "10.0.0.7", "hostname", "queue-7.example"], "queue-7.example", "localhost"),
        ("", [], "localhost", "localhost"),
    ],
)
async def test_over_tls_the_name_that_a_node_announces_counts(
    authority: Authority, host: str | None, facts: list[str], over_tls: str, without: str
) -> None:
    """What Redis 7 tells of a node, by each cluster-preferred-endpoint-type."""
    server = await scripted([[0, 16_383, [host, 7007, "id", facts]]])
    port = server.sockets[0].getsockname()[1]
    with Proxy(port, authority.served("DNS:localhost")) as proxy:
        trust = Trust({"ssl_ca_certs": str(authority.certificate)})
        secure = ClusterMap([("localhost", proxy.port)], trust)
        assert await found(secure) == (over_tls, 7007)
        assert await found(ClusterMap([("localhost", port)])) == (without, 7007)
    server.close()


async def found(owners: ClusterMap) -> tuple[str, int]:
    """The owner of a key. On a slow machine a search may end before a handshake does."""
    for _ in range(10):
        with contextlib.suppress(RedisError):
            return await owners.owner("key")
        await asyncio.sleep(1)
    return await owners.owner("key")


async def test_a_process_stops_while_a_server_behind_tls_is_silent(
    server: RedisServer, authority: Authority
) -> None:
    """The end of a connection over TLS takes an answer, which does not come."""
    options = f"ssl_ca_certs={authority.certificate}"
    tls = authority.served("DNS:localhost")
    with Proxy(server.port, tls) as secure, Proxy(secure.port) as network:
        settings = Settings(store=f"rediss://localhost:{network.port}/0?{options}")
        async with open_store(settings) as (store, shared):
            assert shared is not None
            await shared.wait_until_reachable()
            await go_round(store, store.new_id())
            network.cut()
            with pytest.raises(StoreUnavailable):
                await store.load()
            began = time.monotonic()
        assert time.monotonic() - began < 20
