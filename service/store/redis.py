"""The store of a fleet: Redis streams, one a checkpoint and priority, with a consumer group.

Each change of a job is one Lua script (`lua/`), so that no crash leaves half of it. A claim is a
lease: whoever does not renew it in time loses the job to the next, whose claim has a higher epoch.
Wanted of Redis: 6.2 or newer, one primary, `noeviction`. Jobs are as durable as its
`appendfsync`: `always` loses none, `everysec` at most a second's.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from typing import Any, Self

from redis.asyncio import Redis

from service.errors import ComputationFailed, QueueFull, StoreUnavailable, UnknownJob
from service.jobs import Job, Outcome
from service.settings import Settings
from service.store import keys, rules
from service.store.base import Claim, Record
from service.store.connection import reaching
from service.store.ear import Ear
from service.store.scripts import Scripts
from service.store.wire import (
    WireError,
    decode_job,
    decode_outcome,
    encode_job,
    encode_outcome,
)

logger = logging.getLogger(__name__)

# Seconds: between looks for what was not heard; for whoever waits to read a result; that a payload
# outlives its job's deadline; that a job's keys live at most; that a dead letter is kept.
POLL_S = 5.0
UNREAD_S = 30.0
SLACK_S = 3_600.0
LONGEST_S = 7 * 86_400.0
LETTER_S = 7 * 86_400.0
UNFINISHED = (b"queued", b"running")


@dataclass(frozen=True, slots=True)
class Bounds:
    """`capacity`: jobs that may wait. `retained`, `retention_s`: how many ended jobs are
    remembered, and how long. `lease_s`: how long a silent worker keeps its jobs. `most_crashes`:
    that a job may cause alone before it is a dead letter."""

    capacity: int
    retained: int
    retention_s: float
    lease_s: float
    most_crashes: int = 3

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As a deployment chose them."""
        return cls(
            settings.max_queued_jobs,
            settings.max_retained_jobs,
            settings.retention_s,
            settings.lease_s,
        )


class RedisStore:
    """`name` tells this process from the others; `clock` gives seconds since the epoch."""

    def __init__(
        self,
        client: Redis,
        bounds: Bounds,
        name: str | None = None,
        clock: Callable[[], float] = time.time,
        poll_s: float = POLL_S,
        unread_s: float = UNREAD_S,
    ) -> None:
        self.client, self._bounds, self._clock = client, bounds, clock
        self.name = name or uuid.uuid4().hex
        self._poll_s = poll_s
        self._keep = (bounds.retained, bounds.retention_s, unread_s)
        self._scripts = Scripts(client)
        self._ear = Ear(client)
        self._too_late = encode_outcome(rules.too_late())
        self._fatal = encode_outcome(
            ComputationFailed(
                f"{bounds.most_crashes} workers died or hung while they ran this job alone"
            )
        )

    async def close(self) -> None:
        """Listen no more. The client stays open: it is its owner's."""
        await self._ear.close()

    async def put(self, job: Job) -> None:
        now = self._clock()
        life = min(max(0.0, job.deadline - now) + SLACK_S, LONGEST_S)
        queue = f"{job.checkpoint}:{job.priority}"
        admitted, *full = await self._scripts.run(
            "put",
            *(job.id, queue, job.deadline, now),
            *(self._bounds.capacity, int(1000 * life), encode_job(job)),
        )
        if not admitted:
            waiting, since, ends = int(full[0]), float(full[1]), int(full[2])
            raise QueueFull(
                f"{waiting} jobs wait, the most allowed",
                rules.retry_after(waiting, ends - 1, now - since),
            )

    async def claim(self, checkpoints: Collection[str]) -> Claim:
        # Heard from before it is held: a job that is held can be cancelled.
        await self._ear.listening()
        while True:
            self._ear.arrival.clear()
            if reply := await self._take(checkpoints):
                if claim := await self._claimed(*reply):
                    return claim
                continue
            await self._until(self._ear.arrival)

    async def renew(self, claims: Collection[Claim]) -> list[Claim]:
        pairs = [part for claim in claims for part in (claim.job.id, claim.epoch)]
        lost: list[int] = await self._scripts.run("renew", self.name, *pairs)
        return [claim for position, claim in enumerate(claims) if position in lost]

    async def sweep(self) -> None:
        taken = await self._scripts.run(
            "sweep",
            *(self._clock(), int(1000 * self._bounds.lease_s), self._too_late, self._fatal),
            *(self._bounds.most_crashes, int(1000 * LETTER_S), *self._keep),
        )
        if taken:
            logger.warning("%d jobs of silent workers were taken back", taken)

    async def report(self, claim: Claim, progress: float) -> None:
        await self._scripts.run("report", claim.job.id, claim.epoch, progress)

    async def complete(self, claim: Claim, outcome: Outcome) -> bool:
        return await self._complete(claim.job.id, claim.epoch, outcome)

    async def release(self, claim: Claim) -> None:
        await self._scripts.run("release", claim.job.id, claim.epoch, self._clock())

    async def cancel(self, job_id: str) -> None:
        outcome = encode_outcome(rules.cancelled())
        if not await self._scripts.run("cancel", job_id, outcome, self._clock(), *self._keep):
            raise _unknown(job_id)

    async def record(self, job_id: str) -> Record:
        record = await self._read(job_id)
        ended = record.finished_at
        if ended is not None and ended < self._clock() - self._bounds.retention_s:
            raise _unknown(job_id)
        return record

    async def wait(self, job_id: str) -> Record:
        with self._ear.ended(job_id) as heard:
            while True:
                heard.clear()
                try:
                    if await self._status(job_id) not in UNFINISHED:
                        return await self._read(job_id)
                except StoreUnavailable as error:
                    logger.info("waiting on while the store is away: %s", error)
                await self._until(heard)

    async def forget(self, job_id: str) -> None:
        await self._scripts.run("forget", job_id)

    def cancellations(self) -> AsyncIterator[str]:
        return self._ear.cancellations()

    async def _take(self, checkpoints: Collection[str]) -> list[Any] | None:
        """One look for a job; one that is found while the caller gives up is handed back."""
        look = asyncio.ensure_future(
            self._scripts.run(
                *("claim", self.name, self._clock(), self._too_late), *self._keep, *checkpoints
            )
        )
        try:
            reply: list[Any] | None = await asyncio.shield(look)
        except asyncio.CancelledError:
            with contextlib.suppress(StoreUnavailable):
                if reply := await look:
                    await self._scripts.run("release", reply[0], reply[1], self._clock())
            raise
        return reply

    async def _claimed(
        self, job_id: bytes, epoch: int, alone: int, task: bytes | None
    ) -> Claim | None:
        try:
            return Claim(_job(task or b""), epoch, bool(alone))
        except ComputationFailed as error:
            logger.error("job %s: %s", job_id.decode(), error)
            await self._complete(job_id.decode(), epoch, error)
            return None

    async def _complete(self, job_id: str, epoch: int, outcome: Outcome) -> bool:
        arguments = (job_id, epoch, rules.status_of(outcome), encode_outcome(outcome))
        ended: int = await self._scripts.run(
            "complete", *arguments, self._clock(), rules.WINDOW, *self._keep
        )
        return bool(ended)

    async def _status(self, job_id: str) -> bytes:
        with reaching():
            status = await self.client.hget(keys.JOB + job_id, "status")
        if not isinstance(status, bytes):
            raise _unknown(job_id)
        return status

    async def _read(self, job_id: str) -> Record:
        with reaching():
            async with self.client.pipeline(transaction=True) as pipe:
                fields = ["status", "progress", "started_at", "finished_at"]
                pipe.hmget(keys.JOB + job_id, fields)
                pipe.get(keys.TASK + job_id)
                pipe.get(keys.RESULT + job_id)
                (status, progress, started, finished), task, result = await pipe.execute()
        if status is None or task is None:
            raise _unknown(job_id)
        done = status == b"succeeded"
        return Record(
            job=_job(task),
            status=status.decode(),
            progress=1.0 if done else float(progress or 0.0),
            started_at=_seconds(started),
            finished_at=_seconds(finished),
            outcome=None if result is None else _outcome(result),
        )

    async def _until(self, event: asyncio.Event) -> None:
        """Wait for what may be heard, or until it is time to look all the same."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll_s):
                await event.wait()


def _unknown(job_id: str) -> UnknownJob:
    return UnknownJob(f"no job {job_id!r}")


def _seconds(field: bytes | None) -> float | None:
    return None if field is None else float(field)


def _job(data: bytes) -> Job:
    try:
        return decode_job(data)
    except WireError as error:
        raise ComputationFailed(f"the job cannot be read: {error}") from error


def _outcome(data: bytes) -> Outcome:
    try:
        return decode_outcome(data)
    except WireError as error:
        return ComputationFailed(f"the result cannot be read: {error}")
