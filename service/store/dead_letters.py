"""Dead letters: jobs that killed every worker that ran them alone, kept for inspection."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis

from service.errors import ComputationFailed, ServiceError, UnknownJob
from service.jobs import Job
from service.store import keys, replies, rules
from service.store.connection import Connected
from service.store.redis import life_ms
from service.store.scripts import Scripts
from service.store.shards import ALONE, Shard, shard_of
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
    """The dead letters of one shard. Every method may raise StoreUnavailable."""

    def __init__(
        self, client: Redis, clock: Callable[[], float] = time.time, shard: Shard = ALONE
    ) -> None:
        self._clock, self._scripts = clock, Scripts(client, clock=clock, shard=shard)
        self._letters = self._scripts.name(keys.DEAD_LETTERS)

    async def all(self) -> list[DeadLetter]:
        """Return all dead letters, the latest first; those that cannot be read are left out."""
        names: Any = await self._scripts.command("letters", "ZREVRANGE", self._letters, 0, -1)
        found = []
        for name in names:
            try:
                found.append(await self._one(name.decode()))
            except UnicodeDecodeError as error:
                self._scripts.damage.tell("letter", name.decode(errors="replace"), str(error))
            except UnknownJob:
                # It has expired, or cannot be read, which has been told.
                continue
        return found

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
            *("retry", job.id, replies.queue(job), job.owner, job.deadline, job.cost),
            *(life_ms(job, now), encode_job(job), *replies.descriptive_fields(job)),
        )
        if not done:
            raise rules.unknown(job_id)

    async def drop(self, job_id: str) -> None:
        """Delete a dead letter. Raises UnknownJob."""
        deleted = await self._scripts.command("letters", "DEL", self._key(job_id))
        await self._scripts.command("letters", "ZREM", self._letters, job_id)
        if not deleted:
            raise rules.unknown(job_id)

    def _key(self, job_id: str) -> str:
        return self._scripts.name(keys.DEAD_LETTER + job_id)

    async def _one(self, job_id: str) -> DeadLetter:
        flat: Any = await self._scripts.command("letters", "HGETALL", self._key(job_id))
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        if fields:
            try:
                return _letter(job_id, fields)
            except (KeyError, ValueError, OverflowError, OSError) as error:
                self._scripts.damage.tell("letter", job_id, repr(error))
        raise rules.unknown(job_id)


class AllDeadLetters:
    """The dead letters of all shards of a store, in the order of their numbers. Every method may
    raise StoreUnavailable."""

    def __init__(self, shards: Sequence[Connected]) -> None:
        self._shards = [DeadLetters(client, shard=shard) for client, shard in shards]

    async def all(self) -> list[DeadLetter]:
        """Return all dead letters, as `DeadLetters.all` does."""
        found = [letter for shard in self._shards for letter in await shard.all()]
        return sorted(found, key=lambda letter: letter.died_at, reverse=True)

    async def retry(self, job_id: str, wait_s: float) -> None:
        """Queue a job again, as `DeadLetters.retry` does."""
        await self._of(job_id).retry(job_id, wait_s)

    async def drop(self, job_id: str) -> None:
        """Delete a dead letter. Raises UnknownJob."""
        await self._of(job_id).drop(job_id)

    def _of(self, job_id: str) -> DeadLetters:
        return self._shards[shard_of(job_id, len(self._shards))]


def _letter(job_id: str, fields: dict[bytes, bytes]) -> DeadLetter:
    job = None
    with suppress(ComputationFailed):
        job = replies.job(fields[b"task"])
        if job.id != job_id:
            job = None
    reason = replies.outcome(fields[b"reason"])
    died_at = datetime.fromtimestamp(float(fields[b"died_at"]), UTC).timestamp()
    detail = reason.detail if isinstance(reason, ServiceError) else "no reason was kept"
    return DeadLetter(job_id, job, died_at, detail)
