"""The same and worse, for minutes: `make chaos`."""

import asyncio
import contextlib
import random
import time
from signal import SIGCONT, SIGSTOP
from typing import Any

import httpx
import pytest
import redis
from crew import Crew
from flood import flooded
from redis_server import RedisServer
from traffic import (
    JOBS,
    LONG,
    PATIENCE_S,
    Ends,
    all_mixed,
    ask,
    ask_all,
    body,
    calm,
    images,
    kill_often,
    left,
    settled,
)

from service.store import keys

pytestmark = pytest.mark.chaos

KILLS = 5
LEAVERS, LEAVING_AT_ONCE = 2_000, 100
OVERLOAD_S, CALIBRATION_S = 60.0, 10.0


def test_killed_again_and_again(crew: Crew, own_redis: RedisServer) -> None:
    quiet = asyncio.run(all_mixed(crew))
    ends, chance = Ends(own_redis), random.Random(13)

    async def rough() -> list[list[Any]]:
        killing, rounds = asyncio.create_task(kill_often(crew, ends, chance, KILLS)), []
        while not killing.done():
            rounds.append(await all_mixed(crew))
        return rounds

    rounds = asyncio.run(rough())
    assert all(found == quiet for found in rounds)
    told = ends.read()
    assert len(told) == JOBS * len(rounds)
    assert set(told.values()) == {1}
    ends.close()
    settled(own_redis)


def test_redis_stops_pauses_and_comes_back(crew: Crew, own_redis: RedisServer) -> None:
    quiet = asyncio.run(all_mixed(crew))
    before = crew.replaced

    async def accepted(number: int, client: httpx.AsyncClient) -> list[str]:
        while True:
            answer = await ask(client, body(number))
            if answer.status_code != 503:
                return images(answer)
            assert answer.json()["code"] == "store-unavailable"
            await asyncio.sleep(int(answer.headers["retry-after"]))

    async def interrupted() -> list[Any]:
        async with httpx.AsyncClient(base_url=crew.address, timeout=PATIENCE_S) as client:
            waits = [n for n in range(JOBS) if n % 5 > 1]
            answering = [asyncio.ensure_future(accepted(n, client)) for n in waits]
            for stop, start in (
                (own_redis.stop, own_redis.start),
                (lambda: own_redis.signal(SIGSTOP), lambda: own_redis.signal(SIGCONT)),
                (own_redis.stop, own_redis.start),
            ):
                await asyncio.sleep(1.0)
                stop()
                try:
                    await is_refused(crew)
                    await asyncio.sleep(3.0)
                finally:
                    await asyncio.to_thread(start)
            return await asyncio.gather(*answering)

    assert asyncio.run(interrupted()) == [quiet[n] for n in range(JOBS) if n % 5 > 1]
    assert crew.replaced == before
    # Nor is anybody worked for whose refusal crossed his admission.
    settled(own_redis)


async def is_refused(crew: Crew) -> None:
    """Without its store the API says so, and is alive."""
    async with httpx.AsyncClient(base_url=crew.address) as client:
        assert (await client.get("/livez", timeout=2.0)).status_code == 200
        refusal = await ask(client, body(1))
        assert refusal.status_code == 503
        assert int(refusal.headers["retry-after"]) >= 1
        assert (await client.get("/livez", timeout=2.0)).status_code == 200


def test_two_thousand_leave(crew: Crew, own_redis: RedisServer) -> None:
    chance = random.Random(17)

    async def leave(leavers: int) -> None:
        turn = asyncio.Semaphore(LEAVING_AT_ONCE)
        limits = httpx.Limits(max_connections=LEAVING_AT_ONCE, max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=crew.address, limits=limits) as client:

            async def visit(number: int) -> None:
                async with turn:
                    with contextlib.suppress(httpx.TimeoutException):
                        request = body(number, solver=LONG)
                        after = chance.uniform(0.01, 1.0)
                        await client.post("/v1/samples", json=request, timeout=after)

            await asyncio.gather(*(visit(number) for number in range(leavers)))

    asyncio.run(ask_all(crew, [body(2)]))
    known, tasks = left(own_redis), crew.tasks()
    asyncio.run(leave(LEAVERS // 4))
    settled(own_redis, known)
    before = crew.memory()
    asyncio.run(leave(LEAVERS))
    # A thousand evaluations each: whoever still worked for them would not be done in minutes.
    settled(own_redis, known)
    began = time.monotonic()
    (answer,) = asyncio.run(ask_all(crew, [body(2)]))
    assert images(answer)
    assert time.monotonic() - began < 5
    calm(crew, tasks)
    after = crew.memory()
    assert after.keys() == before.keys()
    grown = {pid: (after[pid] - before[pid]) >> 20 for pid in before}
    assert all(megabytes < 24 for megabytes in grown.values()), grown
    with redis.Redis(port=own_redis.port) as client:
        assert client.get(keys.WAITING_COST) in (None, b"0")
        assert client.zcard(keys.WAITING) == client.scard(keys.QUEUES) == 0


def test_twice_what_it_can_do(small_crew: Crew, small_redis: RedisServer) -> None:
    flooded(small_crew, small_redis, CALIBRATION_S, OVERLOAD_S)
