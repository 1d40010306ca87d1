"""What is asked of a crew in chaos, and how to tell that nothing was lost or left."""

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Any, Protocol

import httpx
import numpy as np
import redis
from crew import Crew
from redis_server import RedisServer
from tiny_zoo import CONFIG

from service.images.npy import encode_npy
from service.store import keys
from service.store.shards import Shard

TIMEOUT_S, SETTLED_WITHIN_S = 120.0, 30.0
SOLVERS: list[dict[str, Any]] = [
    {"name": "ddpm", "steps": 150},
    {"name": "rtk-mala", "segments": 4, "inner_steps": 5},
    {"name": "ddpm", "steps": 20},
    {"name": "dpm-2m", "steps": 50},
]
OF_JOBS = (
    *(keys.QUEUE, keys.RETURNED, keys.SUSPECTS),
    *(keys.JOB, keys.TASK, keys.RESULT, keys.PROGRESS_LOG, keys.IDEMPOTENCY),
)
JOBS, AT_ONCE, PATIENCE_S = 300, 24, 600.0
BETWEEN_KILLS = 40
LONG = {"name": "ddpm", "steps": 1000}
# Different requests of a steady load.
KINDS = 24


def body(number: int, **more: Any) -> dict[str, Any]:
    request = {"model": "tiny", "count": 1 + number % 7, "seed": number, "timeout_s": TIMEOUT_S}
    return request | {"solver": SOLVERS[number % len(SOLVERS)]} | more


class Servers(Protocol):
    """One Redis, or the primaries of a cluster: each shard of a store, with its port."""

    @property
    def parts(self) -> list[tuple[int, Shard]]: ...


class Ends:
    """Counts how often each job was said to have ended."""

    def __init__(self, servers: Servers) -> None:
        self.counts: Counter[str] = Counter()
        self._clients, self._subscriptions = [], []
        for port, shard in servers.parts:
            client = redis.Redis(port=port)
            subscription = client.pubsub()
            subscription.subscribe(shard.name(keys.ENDS))
            assert subscription.get_message(timeout=5) is not None, "not subscribed"
            self._clients.append(client)
            self._subscriptions.append(subscription)

    def read(self) -> Counter[str]:
        for subscription in self._subscriptions:
            while message := subscription.get_message(timeout=0.2):
                self.counts[message["data"].decode()] += 1
        return self.counts

    def close(self) -> None:
        for one in (*self._subscriptions, *self._clients):
            one.close()


async def kill_often(crew: Crew, ends: Ends, chance: random.Random, kills: int) -> None:
    """Kill a worker whenever so many more jobs have ended, `kills` times.

    By jobs and not by the clock: on a slow machine a job that runs alone would be killed again and
    again, until it is given up.
    """
    for _ in range(kills):
        due = ends.read().total() + BETWEEN_KILLS
        while (await asyncio.to_thread(ends.read)).total() < due:
            pass
        crew.kill_one(chance)


async def ask(client: httpx.AsyncClient, request: dict[str, Any]) -> httpx.Response:
    return await client.post("/v1/samples", json=request, timeout=TIMEOUT_S)


async def ask_all(crew: Crew, requests: list[dict[str, Any]]) -> list[httpx.Response]:
    async with httpx.AsyncClient(base_url=crew.address) as client:
        return await asyncio.gather(*(ask(client, request) for request in requests))


def images(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [image["png"] for image in answer.json()["images"]]


def claimed(server: RedisServer) -> int:
    """How many jobs there were ever, less those that wait."""
    with redis.Redis(port=server.port) as client:
        return int(client.get(keys.ADMITTED) or 0) - client.zcard(keys.WAITING)


def calm(crew: Crew, before: dict[int, int]) -> None:
    """Wait until no process has more tasks than `before`."""
    began = time.monotonic()
    while more := Counter(crew.tasks()) - Counter(before):
        assert time.monotonic() - began < SETTLED_WITHIN_S, more
        time.sleep(0.1)


def left(servers: Servers) -> set[str]:
    """Keys of queues and jobs, and jobs that only an index knows; what a sweep keeps is its own."""
    found = set[str]()
    for port, shard in servers.parts:
        with redis.Redis(port=port) as client:
            own = shard.name(keys.PREFIX)
            names = {name.decode() for name in client.scan_iter() if name.startswith(own.encode())}
            found |= {
                f"{name} {job.decode()}"
                for name in names
                if name.startswith((shard.name(keys.INDEX), shard.name(keys.OWNED)))
                for job in client.zrange(name, 0, -1)
                if not client.exists(shard.name(keys.JOB) + job.decode())
            }
            found |= {name for name in names if name.replace(own, keys.PREFIX).startswith(OF_JOBS)}
    return found


def settled(servers: Servers, known: set[str] | None = None) -> None:
    """Wait until nothing is left but what is `known`; if nothing is, but that there were jobs."""
    began = time.monotonic()
    while names := left(servers) - (known or set()):
        if known is None and all(_is_known_to_have_been(name) for name in names):
            return
        assert time.monotonic() - began < SETTLED_WITHIN_S, names
        time.sleep(0.1)


def _is_known_to_have_been(name: str) -> bool:
    """Whether a name is that of a job's hash, in any shard."""
    return re.match(rf"{keys.PREFIX}({{\d+}}:)?job:", name) is not None


async def mixed(client: httpx.AsyncClient, number: int) -> Any:
    """Job `number`, of one of three kinds, waited for or queued; what it came to, without its id
    and times."""
    match number % 5:
        case 0:
            chance = np.random.default_rng(number)
            tokens = chance.integers(0, CONFIG.vocabulary, (3, *CONFIG.image_shape), np.uint8)
            kind = "likelihoods" if number % 2 else "anomalies"
            answer = await client.post(
                f"/v1/{kind}?model=tiny&seed={number}&timeout_s={PATIENCE_S}",
                content=encode_npy(tokens),
                headers={"Content-Type": "application/x-npy"},
            )
            assert answer.status_code == 200, answer.text
            return answer.json()["results"]
        case 1:
            request = body(number, timeout_s=PATIENCE_S)
            queued = await client.post("/v1/jobs", json={"kind": "samples", "request": request})
            assert queued.status_code == 202, queued.text
            path = queued.headers["location"]
            while (await client.get(path)).json()["status"] in ("queued", "running"):
                await asyncio.sleep(0.2)
            result = images(await client.get(f"{path}/result"))
            await client.delete(path)
            return result
        case _:
            return images(await client.post("/v1/samples", json=body(number, timeout_s=PATIENCE_S)))


async def all_mixed(crew: Crew, jobs: int = JOBS) -> list[Any]:
    """What all jobs came to, so many of them at once."""
    turn = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(base_url=crew.address, timeout=PATIENCE_S) as client:

        async def one(number: int) -> Any:
            async with turn:
                return await mixed(client, number)

        return await asyncio.gather(*(one(number) for number in range(jobs)))


async def queued(client: httpx.AsyncClient, number: int) -> tuple[str, float, int]:
    """Queue a job; its id, when it was accepted, and how often that was refused."""
    request = {"kind": "samples", "request": body(number % KINDS, timeout_s=PATIENCE_S)}
    refusals = 0
    while True:
        answer = await client.post("/v1/jobs", json=request)
        if answer.status_code == 202:
            return answer.json()["id"], time.time(), refusals
        assert (answer.status_code, answer.json()["code"]) == (503, "store-unavailable")
        refusals += 1
        await asyncio.sleep(0.2)


async def outcome(client: httpx.AsyncClient, name: str) -> list[str] | None:
    """The images of a job, or None where the service says that it is lost."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE_S:
        answer = await client.get(f"/v1/jobs/{name}")
        if answer.status_code == 200:
            if answer.json()["status"] not in ("queued", "running"):
                result = await client.get(f"/v1/jobs/{name}/result")
                if result.status_code == 200:
                    return images(result)
        elif "send it again" in answer.json()["detail"]:
            return None
        assert answer.status_code in (200, 503), answer.text
        await asyncio.sleep(0.5)
    raise AssertionError(f"job {name} never ended")


async def queued_during(
    crew: Crew, happening: Coroutine[Any, Any, None], every_s: float
) -> tuple[list[tuple[str, float, int]], list[list[str] | None]]:
    """Queue a job every so many seconds for as long as something happens; what `queued` and
    `outcome` say of each of them."""
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(base_url=crew.address, limits=limits, timeout=60) as client:
        going, asking = asyncio.create_task(happening), []
        while not going.done():
            asking.append(asyncio.create_task(queued(client, len(asking))))
            await asyncio.sleep(every_s)
        await going
        accepted = await asyncio.gather(*asking)
        turn = asyncio.Semaphore(AT_ONCE)

        async def ended(name: str) -> list[str] | None:
            async with turn:
                return await outcome(client, name)

        return accepted, await asyncio.gather(*(ended(one[0]) for one in accepted))
