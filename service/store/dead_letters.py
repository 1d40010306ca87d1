"""Dead letters: jobs that killed every worker that ran them alone, kept for inspection."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from redis.asyncio import Redis

from service.errors import ComputationFailed, ServiceError
from service.jobs import Job
from service.store import keys, replies, rules
from service.store.connection import NULL_OBSERVER, round_trip
from service.store.redis import life_ms
from service.store.scripts import Scripts
from service.store.wire import encode_job


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that was given up, at `died_at` in seconds since the epoch; `job` is None if this build
    cannot read it."""

    id: str
    job: Job | None
    died_at: float
    reason: str


class DeadLetters:
    """The dead letters of one Redis. Every method may raise StoreUnavailable."""

    def __init__(self, client: Redis, clock: Callable[[], float] = time.time) -> None:
        self._client, self._clock = client, clock
        self._scripts = Scripts(client)

    async def all(self) -> list[DeadLetter]:
        """Return all dead letters, the latest first."""
        with round_trip("letters", NULL_OBSERVER):
            names: Any = await self._client.zrange(keys.DEAD_LETTERS, 0, -1, desc=True)
            async with self._client.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.hgetall(keys.DEAD_LETTER + name.decode())
                found = await pipe.execute()
        return [
            _letter(name.decode(), fields)
            for name, fields in zip(names, found, strict=True)
            if fields
        ]

    async def retry(self, job_id: str, wait_s: float) -> None:
        """Queue the job again under its id, with a deadline in `wait_s` seconds; it will run alone.

        Raises UnknownJob, and ComputationFailed for a job that this build cannot read.
        """
        letter = await self._one(job_id)
        if letter.job is None:
            raise ComputationFailed("this build cannot read the job")
        now = self._clock()
        job = replace(letter.job, deadline=now + wait_s)
        done = await self._scripts.run(
            *("retry", job.id, replies.queue(job), job.deadline, job.cost, now),
            *(life_ms(job, now), encode_job(job), *replies.descriptive_fields(job)),
        )
        if not done:
            raise rules.unknown(job_id)

    async def drop(self, job_id: str) -> None:
        """Delete a dead letter. Raises UnknownJob."""
        with round_trip("letters", NULL_OBSERVER):
            async with self._client.pipeline(transaction=False) as pipe:
                pipe.delete(keys.DEAD_LETTER + job_id)
                pipe.zrem(keys.DEAD_LETTERS, job_id)
                deleted, _ = await pipe.execute()
        if not deleted:
            raise rules.unknown(job_id)

    async def _one(self, job_id: str) -> DeadLetter:
        with round_trip("letters", NULL_OBSERVER):
            fields = await self._client.hgetall(keys.DEAD_LETTER + job_id)
        if not fields:
            raise rules.unknown(job_id)
        return _letter(job_id, fields)


def _letter(job_id: str, fields: Any) -> DeadLetter:
    job = None
    with suppress(ComputationFailed):
        job = replies.job(fields[b"task"])
    reason = replies.outcome(fields[b"reason"])
    assert isinstance(reason, ServiceError)
    return DeadLetter(job_id, job, float(fields[b"died_at"]), reason.detail)
