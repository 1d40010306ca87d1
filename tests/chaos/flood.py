"""Twice as many requests as a crew can answer, and what must hold meanwhile."""

import asyncio
import time
from collections import Counter

import httpx
import redis
from crew import Crew
from redis_server import RedisServer
from traffic import ask, body

from service.store import keys
from service.worker import MAX_JOBS

QUEUED = 16
REQUEST = body(1, count=16, solver={"name": "ddpm", "steps": 30})


def flooded(crew: Crew, server: RedisServer, calibration_s: float, overload_s: float) -> None:
    """Measure what the crew can do, then ask for twice that, for `overload_s` at least and until
    queue and worker must be full: the queue stays bounded, what is accepted is soon answered, the
    rest is told when to come again."""
    found = asyncio.run(_flood(crew, server, calibration_s, overload_s))
    capacity, overload_s, answers, waiting, took = found
    statuses = Counter(answer.status_code for answer, _ in answers)
    assert set(statuses) == {200, 429}, statuses
    assert waiting <= QUEUED
    # Others share the machine: what it could do before is not what it can do now.
    pace = min(capacity, statuses[200] / took)
    # What is inside: the queue, and the jobs that a worker holds at once.
    bound = 3 * (QUEUED + MAX_JOBS) / pace
    slowest = max(spent for answer, spent in answers if answer.status_code == 200)
    assert slowest < bound, (slowest, bound)
    for answer, spent in answers:
        if answer.status_code == 429:
            assert answer.json()["code"] == "queue-full"
            assert 1 <= int(answer.headers["retry-after"]) <= max(5, 4 * QUEUED / pace)
            assert spent < bound
    assert statuses[200] > 0.5 * capacity * overload_s, (statuses, capacity)


async def _flood(
    crew: Crew, server: RedisServer, calibration_s: float, overload_s: float
) -> tuple[float, float, list[tuple[httpx.Response, float]], int, float]:
    """Answers a second of a few clients; then, of twice as many requests, the seconds in which they
    were sent, answers and their seconds, the most that waited, and the seconds until all were
    answered."""
    limits = httpx.Limits(max_connections=1_000)
    async with httpx.AsyncClient(base_url=crew.address, limits=limits) as client:
        done = 0
        began = time.monotonic()

        async def keep_asking() -> None:
            nonlocal done
            while time.monotonic() - began < calibration_s:
                assert (await ask(client, REQUEST)).status_code == 200
                done += 1

        await asyncio.gather(*(keep_asking() for _ in range(QUEUED)))
        capacity = done / (time.monotonic() - began)
        overload_s = max(overload_s, 1.5 * (QUEUED + MAX_JOBS) / capacity)

        async def timed() -> tuple[httpx.Response, float]:
            sent = time.monotonic()
            answer = await ask(client, REQUEST)
            return answer, time.monotonic() - sent

        asked: list[asyncio.Future[tuple[httpx.Response, float]]] = []
        waiting = 0
        began = time.monotonic()
        with redis.Redis(port=server.port) as store:
            while (now := time.monotonic() - began) < overload_s:
                # The crew may have more of the machine now than while its capacity was measured.
                served = sum(one.done() and one.result()[0].status_code == 200 for one in asked)
                pace = max(capacity, served / now)
                while len(asked) < 2 * pace * now:
                    asked.append(asyncio.ensure_future(timed()))
                waiting = max(waiting, int(store.zcard(keys.WAITING)))
                await asyncio.sleep(0.02)
        answers = await asyncio.gather(*asked)
        return capacity, overload_s, answers, waiting, time.monotonic() - began
