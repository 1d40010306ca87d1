"""Workers die, Redis goes away: each accepted job is answered once, with a quiet run's bytes."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from typing import Any

import httpx
import pytest
import redis
from crew import POISON, Crew
from redis_server import RedisServer

from service.store import keys

pytestmark = pytest.mark.xdist_group("chaos")

TIMEOUT_S = 120.0
# A replaced worker is ready after a second: its imports are done, its checkpoint is tiny.
KILL_EVERY_S, KILLS = 2.5, 4
CLIENTS, KINDS = 24, 36

SOLVERS: list[dict[str, Any]] = [
    {"name": "ddpm", "steps": 150},
    {"name": "rtk-mala", "segments": 4, "inner_steps": 5},
    {"name": "ddpm", "steps": 20},
    {"name": "dpm-2m", "steps": 50},
]
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


def nothing_left(server: RedisServer) -> bool:
    """No queue and no job; what a worker's sweep keeps is its own."""
    with redis.Redis(port=server.port) as client:
        names = [name.decode() for name in client.scan_iter()]
    return not any(
        name.startswith((keys.QUEUE, keys.JOB, keys.TASK, keys.RESULT)) for name in names
    )


def test_killed_workers_lose_nothing(crew: Crew, own_redis: RedisServer) -> None:
    requests = [body(number) for number in range(KINDS)]
    quiet = [images(answer) for answer in asyncio.run(ask_all(crew, requests))]
    ends = Ends(own_redis)
    chance, before = random.Random(7), crew.replaced
    answers: list[tuple[int, httpx.Response]] = []

    async def rough() -> None:
        done = asyncio.Event()

        async def keep_asking(client: httpx.AsyncClient, first: int) -> None:
            kind = first
            while not done.is_set():
                answers.append((kind, await ask(client, requests[kind])))
                kind = (kind + CLIENTS) % KINDS

        async with (
            httpx.AsyncClient(base_url=crew.address) as client,
            asyncio.TaskGroup() as group,
        ):
            for first in range(CLIENTS):
                group.create_task(keep_asking(client, first))
            for _ in range(KILLS):
                await asyncio.sleep(KILL_EVERY_S)
                crew.kill_one(chance)
            done.set()

    asyncio.run(rough())
    assert crew.replaced == before + KILLS
    assert len(answers) > CLIENTS
    for kind, answer in answers:
        assert images(answer) == quiet[kind]
    assert ends.read() == Counter(answer.json()["id"] for _, answer in answers)
    ends.close()
    assert nothing_left(own_redis)


def test_a_job_that_kills_its_workers_dies_alone(crew: Crew, own_redis: RedisServer) -> None:
    requests = [body(number) for number in range(6)]
    requests.insert(2, body(POISON))
    before = crew.replaced
    answers = asyncio.run(ask_all(crew, requests))
    poisoned = answers.pop(2)
    assert all(images(answer) for answer in answers)
    problem = poisoned.json()
    assert (poisoned.status_code, problem["code"]) == (500, "computation-failed")
    assert "3 workers died" in problem["detail"]
    with redis.Redis(port=own_redis.port) as client:
        assert client.zcard(keys.DEAD) == 1
    # Once in company, then three times alone.
    assert crew.replaced == before + 4


def test_redis_may_restart_under_load(crew: Crew, own_redis: RedisServer) -> None:
    requests = [body(number) for number in range(0, 4 * KINDS, 4)]
    quiet = asyncio.run(ask_all(crew, requests))
    before = crew.replaced

    async def interrupted() -> list[httpx.Response]:
        answering = asyncio.ensure_future(ask_all(crew, requests))
        await asyncio.sleep(0.5)
        own_redis.stop()
        async with httpx.AsyncClient(base_url=crew.address) as client:
            refusal = await ask(client, body(1))
        assert (refusal.status_code, refusal.json()["code"]) == (503, "store-unavailable")
        assert int(refusal.headers["retry-after"]) >= 1
        assert not answering.done()
        await asyncio.to_thread(own_redis.start)
        return await answering

    answers = asyncio.run(interrupted())
    assert [images(answer) for answer in answers] == [images(answer) for answer in quiet]
    assert crew.replaced == before


def test_a_stalled_worker_does_not_answer_twice(crew: Crew, own_redis: RedisServer) -> None:
    requests = [body(number) for number in range(0, 4 * KINDS, 4)]
    quiet = asyncio.run(ask_all(crew, requests))
    ends = Ends(own_redis)

    async def stalled() -> list[httpx.Response]:
        answering = asyncio.ensure_future(ask_all(crew, requests))
        await asyncio.sleep(0.3)
        crew.pause(0)
        await asyncio.wait({answering}, timeout=3 * crew.settings.lease_s)
        crew.resume(0)
        return await answering

    answers = asyncio.run(stalled())
    assert [images(answer) for answer in answers] == [images(answer) for answer in quiet]
    time.sleep(1.0)
    assert ends.read() == Counter(answer.json()["id"] for answer in answers)
    ends.close()


def test_clients_that_leave_leave_nothing_behind(crew: Crew, own_redis: RedisServer) -> None:
    chance = random.Random(11)

    async def leave() -> int:
        async with httpx.AsyncClient(base_url=crew.address) as client:

            async def visit(number: int) -> bool:
                request = body(number, solver=LONG)
                with contextlib.suppress(httpx.ReadTimeout):
                    await client.post("/v1/samples", json=request, timeout=chance.uniform(0.3, 2.0))
                    return False
                return True

            return sum(await asyncio.gather(*(visit(number) for number in range(80))))

    assert asyncio.run(leave()) >= 70
    # What they asked for would take minutes; a new request finds the workers free.
    began = time.monotonic()
    (answer,) = asyncio.run(ask_all(crew, [body(2)]))
    assert images(answer)
    assert time.monotonic() - began < 20
    while not nothing_left(own_redis):
        assert time.monotonic() - began < 20
        time.sleep(0.1)
