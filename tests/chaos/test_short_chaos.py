"""Workers die, Redis goes away: each accepted job is answered once, with a quiet run's bytes."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from datetime import datetime

import httpx
import redis
from crew import POISON, SLOW_POISON, SLOWLY, Crew
from flood import flooded
from redis_server import RedisServer
from traffic import LONG, Ends, ask, ask_all, body, calm, claimed, images, left, settled

from service.store import keys

SETTINGS = {"max_crashes": 3}
# A replaced worker is ready after a second: its imports are done, its checkpoint is tiny.
KILL_EVERY_S, KILLS = 2.5, 4
CLIENTS, KINDS = 24, 36
TAKEN_OVER = "of silent workers' jobs"
MANY_TIMES_SLOWER = {"name": "ddpm", "steps": 10 * SLOWLY}


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
    settled(own_redis, set())


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
        assert client.zcard(keys.DEAD_LETTERS) == 1
    # Four times in company at most, then three times alone.
    assert before + 4 <= crew.replaced <= before + 7


def test_a_job_that_kills_its_workers_in_mid_run_takes_no_neighbour_along(
    crew: Crew, own_redis: RedisServer
) -> None:
    requests = [body(number, solver=MANY_TIMES_SLOWER) for number in range(9)]
    quiet = [images(answer) for answer in asyncio.run(ask_all(crew, requests))]
    before = crew.replaced
    requests.insert(4, body(SLOW_POISON, solver=MANY_TIMES_SLOWER))
    answers = asyncio.run(ask_all(crew, requests))
    dead = answers.pop(4)
    assert [images(answer) for answer in answers] == quiet
    assert (dead.status_code, dead.json()["code"]) == (500, "computation-failed")
    assert "3 workers died" in dead.json()["detail"]
    assert before + 4 <= crew.replaced <= before + 7


def test_redis_may_restart_under_load(crew: Crew, own_redis: RedisServer) -> None:
    requests = [body(number) for number in range(0, 4 * KINDS, 4)]
    quiet = asyncio.run(ask_all(crew, requests))
    before, all_in = crew.replaced, claimed(own_redis) + len(requests)

    async def interrupted() -> list[httpx.Response]:
        answering = asyncio.ensure_future(ask_all(crew, requests))
        # A claim whose answer is lost would wait for a lease and a half.
        while claimed(own_redis) < all_in and not answering.done():
            await asyncio.sleep(0.01)
        own_redis.stop()
        async with httpx.AsyncClient(base_url=crew.address) as client:
            refusal = await ask(client, body(1))
        assert (refusal.status_code, refusal.json()["code"]) == (503, "store-unavailable")
        assert int(refusal.headers["retry-after"]) >= 1
        assert not answering.done()
        await asyncio.sleep(0.7 * crew.settings.lease_s)
        await asyncio.to_thread(own_redis.start)
        return await answering

    told = crew.log.read_text().count(TAKEN_OVER)
    answers = asyncio.run(interrupted())
    assert [images(answer) for answer in answers] == [images(answer) for answer in quiet]
    assert crew.replaced == before
    # Living workers keep their jobs.
    assert crew.log.read_text().count(TAKEN_OVER) == told


def test_a_stalled_worker_does_not_answer_twice(crew: Crew, own_redis: RedisServer) -> None:
    requests = [body(number) for number in range(0, KINDS, 4)]
    quiet = [images(answer) for answer in asyncio.run(ask_all(crew, requests))]
    ends = Ends(own_redis)
    with (
        httpx.Client(base_url=crew.address, timeout=60) as client,
        redis.Redis(port=own_redis.port) as store,
    ):
        queued = [{"kind": "samples", "request": request} for request in requests]
        # Only the first worker can take them, and then it cannot go on.
        crew.pause(1)
        crew.pause(2)
        paths = [client.post("/v1/jobs", json=job).headers["location"] for job in queued]
        names = [path.rpartition("/")[2] for path in paths]
        wait_while(client, paths[:1], "queued")
        crew.pause(0)
        crew.resume(1)
        crew.resume(2)
        wait_while(client, paths, "queued", "running")
        crew.resume(0)
        assert max(int(store.hget(keys.JOB + name, "epoch")) for name in names) > 1
        time.sleep(1.0)
        assert [images(client.get(f"{path}/result")) for path in paths] == quiet
        assert ends.read() == Counter(names)
        for path in paths:
            client.delete(path)
    ends.close()


def wait_while(client: httpx.Client, paths: list[str], *statuses: str) -> None:
    began = time.monotonic()
    for path in paths:
        while client.get(path).json()["status"] in statuses:
            assert time.monotonic() - began < 120
            time.sleep(0.02)


def test_clients_that_leave_leave_nothing_behind(crew: Crew, own_redis: RedisServer) -> None:
    chance = random.Random(11)

    async def leave() -> int:
        async with httpx.AsyncClient(base_url=crew.address) as client:

            async def visit(number: int) -> bool:
                request = body(number, solver=LONG)
                with contextlib.suppress(httpx.TimeoutException):
                    await client.post("/v1/samples", json=request, timeout=chance.uniform(0.3, 2.0))
                    return False
                return True

            return sum(await asyncio.gather(*(visit(number) for number in range(80))))

    asyncio.run(ask_all(crew, [body(2)]))
    known, tasks = left(own_redis), crew.tasks()
    assert asyncio.run(leave()) >= 70
    # What they asked for would take minutes; a new request finds the workers free.
    began = time.monotonic()
    (answer,) = asyncio.run(ask_all(crew, [body(2)]))
    assert images(answer)
    assert time.monotonic() - began < 20
    settled(own_redis, known)
    calm(crew, tasks)


def test_fifty_clients_with_one_key_are_one_job(crew: Crew, own_redis: RedisServer) -> None:
    ends = Ends(own_redis)
    request = body(3, solver={"name": "ddpm", "steps": 100})

    async def fifty() -> list[httpx.Response]:
        headers = {"Idempotency-Key": "once"}
        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(base_url=crew.address, limits=limits) as client:
            return await asyncio.gather(
                *(
                    client.post("/v1/samples", json=request, headers=headers, timeout=60)
                    for _ in range(50)
                )
            )

    answers = asyncio.run(fifty())
    assert images(answers[0])
    assert len({answer.content for answer in answers}) == 1
    assert ends.read() == Counter([answers[0].json()["id"]])
    ends.close()


def test_a_job_longer_than_the_lease_runs_once(crew: Crew, own_redis: RedisServer) -> None:
    with (
        httpx.Client(base_url=crew.address, timeout=60) as client,
        redis.Redis(port=own_redis.port) as store,
    ):
        job = {"kind": "samples", "request": body(5, solver=LONG, count=128)}
        path = client.post("/v1/jobs", json=job).headers["location"]
        while (state := client.get(path).json())["status"] in ("queued", "running"):
            time.sleep(0.1)
        spent = datetime.fromisoformat(state["finished_at"]) - datetime.fromisoformat(
            state["started_at"]
        )
        assert state["status"] == "succeeded"
        assert spent.total_seconds() > 1.5 * crew.settings.lease_s
        assert store.hget(keys.JOB + state["id"], "epoch") == b"1"
        assert len(images(client.get(f"{path}/result"))) == 128
        client.delete(path)


def test_twice_what_it_can_do_for_a_while(small_crew: Crew, small_redis: RedisServer) -> None:
    flooded(small_crew, small_redis, calibration_s=3.0, overload_s=8.0)
