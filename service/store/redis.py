"""The store of a fleet: Redis streams, one for each checkpoint and priority, with a consumer group.

Each change of a job is one Lua script (`lua/`), so that no crash leaves half of it. A claim is a
lease: a worker that does not renew it in time loses the job to the next, whose claim has a higher
epoch. The store needs Redis 6.2 or newer, one primary, and `noeviction`. Jobs are as durable as
its `appendfsync`: `always` loses none, `everysec` those of a second at most.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from typing import Any, cast

from redis.asyncio import Redis

from service.errors import ComputationFailed, QueueFull, StoreUnavailable
from service.jobs import UNFINISHED, Job, JobStatus, Outcome
from service.store import keys, news, replies, rules
from service.store.base import Claim, JobRecord, JobSummary, Key, Page, always
from service.store.bounds import REMEMBERED_S, Bounds
from service.store.callbacks import RedisCallbacks
from service.store.connection import NULL_OBSERVER, round_trip
from service.store.news import News
from service.store.rules import Load
from service.store.scripts import Scripts
from service.store.subscription import CHANNELS, Subscription
from service.store.wire import encode_job, encode_outcome
from service.telemetry.observers import StoreObserver

logger = logging.getLogger(__name__)

# Seconds between looks for messages that the subscription has missed.
POLL_S = 5.0
# Seconds that a job's payload outlives its deadline, and at most lives.
SLACK_S = 3_600.0
LONGEST_S = 7 * 86_400.0
# Seconds that a dead letter is kept.
DEAD_LETTER_S = 7 * 86_400.0
# Seconds that a job counts as watched after a watcher has looked.
WATCHED_S = 3 * POLL_S
# Jobs that one call of `jobs` looks at: Redis serves nobody else meanwhile.
LOOKED_AT = 2_000


class RedisStore:
    """A store in Redis, as one process uses it.

    `name` identifies the process among others, and `clock` returns seconds since the epoch. Waits
    look again every `poll_s` seconds, and hear what is told on `channels` before that.
    """

    def __init__(
        self,
        client: Redis,
        bounds: Bounds,
        name: str | None = None,
        clock: Callable[[], float] = time.time,
        poll_s: float = POLL_S,
        observer: StoreObserver = NULL_OBSERVER,
        channels: Collection[str] = CHANNELS,
    ) -> None:
        self.client, self._bounds, self._clock = client, bounds, clock
        self.name = name or uuid.uuid4().hex
        self._poll_s = poll_s
        self._keep = (
            *(bounds.retained_bytes, bounds.retention_s, bounds.unread_s, REMEMBERED_S),
            bounds.retained,
        )
        self._observer = observer
        self.callbacks = RedisCallbacks(client, clock, observer)
        self._scripts = Scripts(client, observer)
        self._subscription = Subscription(client, channels)
        self._too_late = encode_outcome(rules.too_late())
        self._fatal = encode_outcome(
            ComputationFailed(
                f"{bounds.most_crashes} workers died or hung while they ran this job alone"
            )
        )

    async def close(self) -> None:
        """End the subscription. The client stays open for its owner."""
        await self._subscription.close()

    async def check_capacity(self, owner: str, cost: int) -> None:
        now, bounds = self._clock(), self._bounds
        full = await self._scripts.run(
            "check_capacity", owner, cost, now, bounds.capacity, bounds.capacity_cost
        )
        if full:
            raise self._refusal(cost, now, full[1:])

    async def knows(self, key: Key) -> bool:
        known = await self._scripts.run("known", *key)
        if known == b"mismatch":
            raise rules.mismatch()
        return bool(known)

    async def load(self) -> Load:
        now = self._clock()
        return replies.load(now, *await self._scripts.run("load", now, now - DEAD_LETTER_S))

    async def has_jobs(self, checkpoint: str) -> bool:
        # A queue has a stream for as long as a job of it waits or runs.
        with round_trip("has_jobs", self._observer):
            queues: Any = await self.client.smembers(keys.QUEUES)
        return any(name.startswith(f"{checkpoint}:".encode()) for name in queues)

    async def put(self, job: Job, key: Key | None = None, attended: bool = False) -> str:
        now = self._clock()
        verdict, *more = await self._scripts.run(
            "put",
            *(job.id, replies.queue(job), job.deadline, job.cost, now),
            *(self._bounds.capacity, self._bounds.capacity_cost, life_ms(job, now)),
            *(encode_job(job), *(key or ("", "")), int(attended), job.owner),
            *(*self._keep, *replies.descriptive_fields(job)),
        )
        if verdict == b"mismatch":
            raise rules.mismatch()
        if verdict == b"full":
            raise self._refusal(job.cost, now, more)
        job_id: str = more[0].decode()
        return job_id

    async def leave(self, job_id: str, waiter: str) -> None:
        outcome = encode_outcome(rules.cancelled())
        await self._scripts.run("leave", job_id, waiter, outcome, self._clock(), *self._keep)

    async def claim(
        self, checkpoints: Collection[str], alone: Callable[[], bool] = always
    ) -> Claim:
        # The subscription comes before the claim, so that every held job can be cancelled.
        await self._subscription.wait_until_subscribed()
        while True:
            self._subscription.arrival.clear()
            if reply := await self._take(checkpoints, alone()):
                if claim := await self._claimed(*reply):
                    return claim
                continue
            await self._until(self._subscription.arrival)

    async def renew(self, claims: Collection[Claim]) -> list[Claim]:
        pairs = [part for claim in claims for part in (claim.job.id, claim.epoch)]
        lost: list[int] = await self._scripts.run("renew", self.name, *pairs)
        return [claim for position, claim in enumerate(claims) if position in lost]

    async def sweep(self) -> None:
        redelivered, given_up = await self._scripts.run(
            "sweep",
            *(self._clock(), int(1000 * self._bounds.lease_s), self._too_late, self._fatal),
            *(self._bounds.most_crashes, int(1000 * DEAD_LETTER_S), *self._keep),
        )
        self._observer.swept(redelivered, given_up)
        if redelivered or given_up:
            logger.warning(
                "of silent workers' jobs %d wait again, %d were given up", redelivered, given_up
            )

    async def report(self, claim: Claim, progress: float, preview: bytes = b"") -> bool:
        watched: int = await self._scripts.run(
            *("report", claim.job.id, claim.epoch, progress, preview),
            *(self._clock(), news.RECENT, int(1000 * SLACK_S)),
        )
        return bool(watched)

    async def complete(self, claim: Claim, outcome: Outcome) -> bool:
        return await self._complete(claim.job.id, claim.epoch, outcome)

    async def release(self, claim: Claim) -> None:
        await self._scripts.run("release", claim.job.id, claim.epoch, self._clock())

    async def cancel(self, job_id: str) -> None:
        outcome = encode_outcome(rules.cancelled())
        if not await self._scripts.run("cancel", job_id, outcome, self._clock(), *self._keep):
            raise rules.unknown(job_id)

    async def summary(self, job_id: str) -> JobSummary:
        with round_trip("summary", self._observer):
            fields = await self.client.hgetall(keys.JOB + job_id)
        if not fields:
            raise rules.unknown(job_id)
        found = replies.summary(job_id, cast(dict[bytes, bytes], fields))
        if self._is_older(found.finished_at, self._bounds.kept_s + REMEMBERED_S):
            raise rules.unknown(job_id)
        return found

    async def jobs(
        self, owner: str | None, status: JobStatus | None, limit: int, before: int | None
    ) -> Page:
        index = keys.INDEX if owner is None else keys.OWNED + owner
        below = "+inf" if before is None else f"({before}"
        return replies.page(
            *await self._scripts.run("list", index, status or "", limit, below, LOOKED_AT)
        )

    async def record(self, job_id: str) -> JobRecord:
        return self._recorded(job_id, *await self._scripts.run("record", job_id))

    async def wait(self, job_id: str) -> JobRecord:
        with self._subscription.end_of(job_id) as event:
            while True:
                event.clear()
                try:
                    if reply := await self._scripts.run("ended", job_id):
                        return self._recorded(job_id, *reply)
                except StoreUnavailable as error:
                    logger.info("still waiting for a job, the store is unavailable: %s", error)
                await self._until(event)

    async def watch(self, job_id: str, after: int | None) -> AsyncGenerator[News]:
        with self._subscription.change_of(job_id) as event:
            while True:
                event.clear()
                try:
                    reply = await self._scripts.run("watch", job_id, self._clock() + WATCHED_S)
                except StoreUnavailable as error:
                    logger.info("still watching a job, the store is unavailable: %s", error)
                else:
                    if not reply:
                        raise rules.unknown(job_id)
                    log = replies.progress_log(*reply)
                    for one in log.since(after):
                        yield one
                        after = one.number
                    if log.status not in UNFINISHED:
                        return
                await self._until(event)

    async def expire(self, job_id: str) -> None:
        await self._scripts.run("expire", job_id)

    async def forget(self, job_id: str) -> None:
        await self._scripts.run("forget", job_id)

    def cancellations(self) -> AsyncIterator[str]:
        return self._subscription.cancellations()

    async def _take(self, checkpoints: Collection[str], alone: bool) -> list[Any] | None:
        """Look for a job once. One that is found after the caller was cancelled is handed back."""
        look = asyncio.ensure_future(
            self._scripts.run(
                *("claim", self.name, self._clock(), self._too_late, int(alone)),
                *self._keep,
                *checkpoints,
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
            return Claim(replies.job(task or b""), epoch, bool(alone))
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

    def _recorded(
        self, job_id: str, summary: list[Any], task: bytes | None, result: bytes | None
    ) -> JobRecord:
        """Read a whole job. Raises UnknownJob, and ResultExpired for one whose result is gone."""
        status, progress, started, finished = summary
        ended = replies.seconds(finished)
        if status is None or self._is_older(ended, self._bounds.kept_s + REMEMBERED_S):
            raise rules.unknown(job_id)
        gone = task is None or (result is None and status.decode() not in UNFINISHED)
        if gone or self._is_older(ended, self._bounds.kept_s):
            raise rules.expired(job_id)
        return JobRecord(
            job=replies.job(task or b""),
            status=status.decode(),
            progress=1.0 if status == b"succeeded" else float(progress or 0.0),
            started_at=replies.seconds(started),
            finished_at=ended,
            outcome=None if result is None else replies.outcome(result),
        )

    def _refusal(self, cost: int, now: float, full: list[Any]) -> QueueFull:
        refusal = replies.overload(now, *full).refusal(cost, self._bounds)
        assert refusal is not None
        return refusal

    def _is_older(self, ended: float | None, age: float) -> bool:
        return ended is not None and ended < self._clock() - age

    async def _until(self, event: asyncio.Event) -> None:
        """Wait for an event of the subscription, or until it is time to look without one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll_s):
                await event.wait()


def life_ms(job: Job, now: float) -> int:
    """Return how long the payload of a job that is queued at `now` lives, in milliseconds."""
    return int(1000 * min(max(0.0, job.deadline - now) + SLACK_S, LONGEST_S))
