"""`mulan jobs`: what operators see and do, on a real Redis."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from redis_server import RedisServer
from small_engine import CHECKPOINT, samples

from loadtests.redis_cluster import Node
from models.schema.specs import Ddpm
from service.cli import main
from service.jobs import Job
from service.settings import Settings
from service.store import keys
from service.store.bounds import Bounds
from service.store.connection import connect
from service.store.opening import open_store
from service.store.redis import RedisStore
from service.store.shards import shard_of

LEASE_S = 0.4


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(running: RedisServer) -> RedisServer:
    running.flush()
    return running


def with_store(server: RedisServer, act: Callable[[RedisStore], Awaitable[Any]]) -> Any:
    """What `act` brings on a store of a process of its own."""

    async def run() -> Any:
        async with connect(server.url) as client:
            bounds = Bounds(9, 9, 60.0, LEASE_S, most_crashes=1)
            store = RedisStore(client, bounds, poll_s=0.05)
            try:
                return await act(store)
            finally:
                await store.close()

    return asyncio.run(run())


def job(name: str) -> Job:
    whole = samples(name, Ddpm(steps=5), 2)
    return replace(whole, owner="someone", model="tiny", cost=10, deadline=time.time() + 600)


def put(server: RedisServer, *names: str) -> None:
    async def act(store: RedisStore) -> None:
        for name in names:
            await store.put(job(name))

    with_store(server, act)


def die(server: RedisServer) -> None:
    """Put a job `fatal`, and let worker after worker die of it."""

    async def act(store: RedisStore) -> None:
        await store.put(job("fatal"))
        async with asyncio.timeout(30):
            while (await store.summary("fatal")).status in ("queued", "running"):
                if (await store.summary("fatal")).status == "queued":
                    await store.report(await store.claim((CHECKPOINT,)), 0.0)
                await store.sweep()
                await asyncio.sleep(LEASE_S / 10)

    with_store(server, act)


def mulan(server: RedisServer, *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["jobs", *arguments, "--store", server.url])
    assert result.exit_code == code, result.output
    return result.output


def mulan_json(server: RedisServer, *arguments: str) -> Any:
    return json.loads(mulan(server, *arguments, "--json"))


def test_jobs_are_listed_shown_and_cancelled(server: RedisServer) -> None:
    assert mulan(server, "list") == "none\n"
    put(server, "first", "second")
    lines = mulan(server, "list").splitlines()
    assert [line.split()[:2] for line in lines] == [["second", "queued"], ["first", "queued"]]
    shown = mulan_json(server, "show", "first")
    assert (shown["owner"], shown["model"], shown["kind"]) == ("someone", "tiny", "samples")
    assert "someone" in mulan(server, "show", "first")
    assert mulan_json(server, "cancel", "first")["status"] == "cancelled"
    (job,) = mulan_json(server, "list", "--status", "queued")["jobs"]
    assert job["id"] == "second"
    assert len(mulan_json(server, "list", "--limit", "1")["jobs"]) == 1


def test_another_number_or_order_of_shards_is_one_clear_line(tmp_path: Path) -> None:
    nodes = [Node(tmp_path / str(number), "--save", "") for number in range(3)]
    hosts = [f"127.0.0.1:{node.port}" for node in nodes]

    def url(*numbers: int) -> str:
        return f"redis://{','.join(hosts[number] for number in numbers)}/0"

    async def fill() -> str:
        async with open_store(Settings(store=url(0, 1))) as (store, shared):
            assert shared is not None
            await shared.wait_until_reachable()
            await store.sweep()
            put = {await store.put(replace(job(""), id=store.new_id())) for _ in range(2)}
            return next(name for name in put if shard_of(name, 2) == 0)

    def ask(store: str, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["jobs", *(arguments or ("list",)), "--store", store])

    with ExitStack() as stack:
        for node in nodes:
            stack.enter_context(node)
        name = asyncio.run(fill())
        assert len(ask(url(0, 1)).output.splitlines()) == 2
        for wrong in (url(0), url(1), url(1, 0), url(0, 1, 2), url(0, 2, 1)):
            refused = ask(wrong)
            assert refused.exit_code == 1
            (line,) = refused.output.splitlines()
            assert re.search(r"MULAN_STORE \(--store\) names .* jobs of shard \d of 2", line)
        # A command writes no mark into a server that nobody has used.
        with nodes[2].client() as client:
            assert client.dbsize() == 0
        # A shard that is away keeps nobody from the jobs of the other.
        nodes[1].stop()
        assert name in ask(url(0, 1), "show", name).output
        assert "cannot be reached" in ask(url(0, 1)).output


def test_a_dead_job_is_listed_and_tried_again(server: RedisServer) -> None:
    assert mulan_json(server, "dead", "list") == {"letters": []}
    die(server)
    (letter,) = mulan_json(server, "dead", "list")["letters"]
    assert (letter["id"], letter["owner"], letter["model"]) == ("fatal", "someone", "tiny")
    assert "workers died or hung" in letter["reason"]
    assert "fatal" in mulan(server, "dead", "list")
    again = mulan_json(server, "dead", "retry", "fatal")
    assert (again["status"], again["owner"]) == ("queued", "someone")
    assert mulan_json(server, "dead", "list") == {"letters": []}
    assert mulan(server, "dead", "retry", "fatal", code=1) == "Error: no job 'fatal'\n"

    async def act(store: RedisStore) -> None:
        claim = await asyncio.wait_for(store.claim((CHECKPOINT,)), 5)
        assert claim.company == 1
        assert replace(claim.job, deadline=0.0) == replace(job("fatal"), deadline=0.0)

    with_store(server, act)


def test_a_dead_job_of_another_build_is_listed_and_dropped(server: RedisServer) -> None:
    die(server)

    async def act(store: RedisStore) -> None:
        await store.client.hset(keys.DEAD_LETTER + "fatal", "task", b"of another version")

    with_store(server, act)
    (letter,) = mulan_json(server, "dead", "list")["letters"]
    assert (letter["id"], letter["kind"]) == ("fatal", None)
    assert "fatal  ?" in mulan(server, "dead", "list")
    refused = mulan(server, "dead", "retry", "fatal", code=1)
    assert refused == "Error: this build cannot read the job\n"
    assert mulan_json(server, "dead", "drop", "fatal")["dropped"]
    assert mulan(server, "dead", "list") == "none\n"


def test_a_dead_job_is_dropped(server: RedisServer) -> None:
    die(server)
    assert mulan_json(server, "dead", "drop", "fatal") == {"id": "fatal", "dropped": True}
    assert mulan(server, "dead", "list") == "none\n"
    assert mulan(server, "dead", "drop", "fatal", code=1) == "Error: no job 'fatal'\n"


@pytest.mark.parametrize("command", [("show",), ("cancel",), ("dead", "retry"), ("dead", "drop")])
def test_an_unknown_job_is_one_line(server: RedisServer, command: tuple[str, ...]) -> None:
    assert mulan(server, *command, "nobody", code=1) == "Error: no job 'nobody'\n"


def test_no_redis_is_one_line(server: RedisServer, tmp_path: Path) -> None:
    for store, words in (
        ("redis://127.0.0.1:1/0", "the queue cannot be reached"),
        ("memory", "jobs have to wait in Redis"),
        ("kafka://", "MULAN_STORE"),
    ):
        result = CliRunner().invoke(main, ["jobs", "list", "--store", store])
        assert result.exit_code == 1
        assert words in result.output
        assert len(result.output.splitlines()) == 1
