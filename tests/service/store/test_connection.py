"""URLs of stores: what is none, or names what other processes use otherwise, is refused before
anything starts."""

from pathlib import Path

import pytest

from loadtests.redis_cluster import Node
from service.errors import ServeError
from service.settings import Settings
from service.store import keys
from service.store.connection import connect, connect_all
from service.store.opening import open_store

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "url",
    [
        "redis://[::1",
        "redis://h/0?foo=hunter2",
        "redis://h/0?socket_timeout=hunter2",
        "redis://h/hunter2",
        "redis://h:99999/0",
        "redis://h:hunter2/0",
        "redis://:hunter2#x@h/0",
        "http://:hunter2@h/0",
    ],
)
async def test_what_is_no_url_of_a_redis(url: str) -> None:
    with pytest.raises(ServeError, match="is no URL of a Redis") as refusal:
        connect(url)
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__suppress_context__


@pytest.mark.parametrize("kind", ["cluster", "sentinel"])
async def test_what_a_url_of_several_should_be(kind: str) -> None:
    path = {"cluster": "", "sentinel": "queue"}[kind]
    for option in ("foo", "socket_timeout", "max_connections"):
        url = f"redis+{kind}://:hunter2@h/{path}?{option}=hunter2"
        with pytest.raises(ServeError, match=rf"it should be redis\+{kind}://user:") as refusal:
            async with connect_all(url):
                pass
        assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("kind", ["", "+cluster", "+sentinel"])
async def test_parameters_of_tls_in_a_url_without_it(kind: str) -> None:
    path = {"+sentinel": "queue"}.get(kind, "")
    with pytest.raises(ServeError, match=r"it has parameters of TLS, .*: begin it with rediss"):
        async with connect_all(f"redis{kind}://:hunter2@h/{path}?ssl_ca_certs=ca.pem"):
            pass


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "redis://h/",
        "rediss://h:1/15",
        "unix:///tmp/a.sock",
        "redis://user:hunter2@[::1]:6379/0?health_check_interval=10",
    ],
)
async def test_what_is_one(url: str) -> None:
    await connect(url).aclose()


async def test_one_redis_is_no_shard_and_a_shard_is_not_alone(tmp_path: Path) -> None:
    with Node(tmp_path / "one") as one, Node(tmp_path / "other") as other:
        hosts = [f"127.0.0.1:{node.port}" for node in (one, other)]
        alone, several = f"redis://{hosts[0]}/0", f"redis://{','.join(hosts)}/0"

        async def begins(url: str) -> None:
            async with open_store(Settings(store=url)) as (store, shared):
                assert shared is not None
                for _ in range(2):
                    await shared.wait_until_reachable()
                    await store.sweep()

        await begins(alone)
        with pytest.raises(ServeError, match="shard 0 should be are the jobs of a Redis that was"):
            await begins(several)
        with one.client() as client:
            client.flushall()
        await begins(several)
        with pytest.raises(ServeError, match="names one Redis, and there are the jobs of shard 0"):
            await begins(alone)
        # What is no mark of a shard is nobody's.
        with one.client() as client:
            client.flushall()
            client.hset(keys.SHARD, "of", "another program")
        await begins(alone)
