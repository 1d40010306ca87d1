"""What is asked of a crew in chaos, and how to tell that nothing was lost or left."""

import asyncio
import time
from collections import Counter
from typing import Any

import httpx
import redis
from crew import Crew
from redis_server import RedisServer

from service.store import keys

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
LONG = {"name": "ddpm", "steps": 1000}


def body(number: int, **more: Any) -> dict[str, Any]:
    request = {"model": "tiny", "count": 1 + number % 7, "seed": number, "timeout_s": TIMEOUT_S}
    return request | {"solver": SOLVERS[number % len(SOLVERS)]} | more


class Ends:
    """Counts how often each job was said to have ended."""

    def __init__(self, server: RedisServer) -> None:
        self.counts: Counter[str] = Counter()
        self._client = redis.Redis(port=server.port)
        self._subscription = self._client.pubsub()
        self._subscription.subscribe(keys.ENDS)
        assert self._subscription.get_message(timeout=5) is not None, "not subscribed"

    def read(self) -> Counter[str]:
        while message := self._subscription.get_message(timeout=0.2):
            self.counts[message["data"].decode()] += 1
        return self.counts

    def close(self) -> None:
        self._subscription.close()
        self._client.close()


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


def left(server: RedisServer) -> set[str]:
    """Keys of queues and jobs, and jobs that only an index knows; what a sweep keeps is its own."""
    with redis.Redis(port=server.port) as client:
        names = {name.decode() for name in client.scan_iter()}
        indexed = {
            f"{name} {job.decode()}"
            for name in names
            if name.startswith((keys.INDEX, keys.OWNED))
            for job in client.zrange(name, 0, -1)
            if not client.exists(keys.JOB + job.decode())
        }
    return indexed | {name for name in names if name.startswith(OF_JOBS)}


def settled(server: RedisServer, known: set[str] | None = None) -> None:
    """Wait until nothing is left but what is `known`; if nothing is, but that there were jobs."""
    began = time.monotonic()
    while names := left(server) - (known or set()):
        if known is None and all(name.startswith(keys.JOB) for name in names):
            return
        assert time.monotonic() - began < SETTLED_WITHIN_S, names
        time.sleep(0.1)
