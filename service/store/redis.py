"""The store of a fleet: Redis streams, one for each checkpoint and priority, with a consumer group.

Each change of a job is one Lua script (`lua/`), so that no crash leaves half of it. A claim is a
lease: a worker that does not renew it in time loses the job to the next, whose claim has a higher
epoch. The store needs Redis 6.2 or newer and `noeviction`. Jobs are as durable as its
`appendfsync`: `always` loses none, `everysec` those of a second at most. A store in several Redis
consists of such stores (`sharded`).
"""

import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from typing import Any

from redis.asyncio import Redis

from service.errors import QueueFull, StoreUnavailable
from service.jobs import UNFINISHED, Job, JobStatus, Outcome
from service.store import ids, keys, news, replies, rules
from service.store.attendance import Attendance
from service.store.base import ANY_ROOM, Claim, JobRecord, JobSummary, Key, Page, Room
from service.store.bounds import Bounds, SeenRoom
from service.store.callbacks import RedisCallbacks
from service.store.claiming import Claiming
from service.store.connection import NULL_OBSERVER
from service.store.news import News
from service.store.records import Records
from service.store.rules import Cancellations, Load
from service.store.scripts import DEAD_LETTER_S, Scripts
from service.store.shards import ALONE, Shard
from service.store.subscription import CHANNELS, Subscription
from service.store.wire import encode_job
from service.telemetry.observers import StoreObserver

logger = logging.getLogger(__name__)

# Seconds between looks for messages that the subscription has missed.
POLL_S = 5.0
# Seconds that a job's payload outlives its deadline, and at most lives.
SLACK_S = 3_600.0
LONGEST_S = 7 * 86_400.0
# Seconds that a job counts as watched after a watcher has looked.
WATCHED_S = 3 * POLL_S


class RedisStore:
    """A store in one Redis, or one shard of a store in several, as one process uses it.

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
        shard: Shard = ALONE,
    ) -> None:
        self.client, self._bounds, self._clock, self._shard = client, bounds, clock, shard.number
        self.name = name or uuid.uuid4().hex
        self._poll_s = poll_s
        self._observer = observer
        self.scripts = Scripts(client, observer, bounds, clock, shard)
        self.callbacks = RedisCallbacks(self.scripts, clock)
        self._records = Records(self.scripts, bounds, clock)
        self._subscription = Subscription(client, channels, self.name, self.scripts.damage, shard)
        self.claiming = Claiming(self.name, self.scripts, self._subscription, poll_s)
        self._attendance = Attendance(self.scripts, bounds.lease_s / 3)
        self._room = SeenRoom(bounds)

    async def close(self) -> None:
        """End the subscription. The client stays open for its owner."""
        await self._attendance.close()
        await self._subscription.close()

    def new_id(self, key: Key | None = None) -> str:
        return ids.new_id(self._clock())

    def part(self, job_id: str) -> int:
        return 0

    async def check_capacity(self, owner: str, cost: int) -> None:
        now, bounds = self._clock(), self._bounds
        if self._room.suffices(cost):
            return
        full = await self.scripts.run(
            "check_capacity", owner, cost, bounds.capacity, bounds.capacity_cost
        )
        if full:
            raise self._refusal(cost, now, full[1:])

    async def knows(self, key: Key) -> bool:
        known = await self.scripts.run("known", *key)
        if known == b"mismatch":
            raise rules.mismatch()
        return bool(known)

    async def load(self) -> Load:
        now = self._clock()
        return replies.load(now, *await self.scripts.run("load", now - DEAD_LETTER_S))

    async def has_jobs(self, checkpoint: str) -> bool:
        # A queue has a stream for as long as a job of it waits or runs.
        queues: Any = await self.scripts.command(
            "has_jobs", "SMEMBERS", self.scripts.name(keys.QUEUES)
        )
        return any(name.startswith(f"{checkpoint}:".encode()) for name in queues)

    async def put(self, job: Job, key: Key | None = None, attended: bool = False) -> str:
        now = self._clock()
        job_id: str = ""
        if attended:
            self._subscription.expect(job.id)
        try:
            verdict, *more = await self.scripts.run(
                "put",
                *(job.id, replies.queue(job), job.deadline, job.cost),
                *(self._bounds.capacity, self._bounds.capacity_cost, life_ms(job, now)),
                *(encode_job(job), *(key or ("", "")), int(attended), job.owner),
                *replies.descriptive_fields(job),
            )
            if verdict == b"mismatch":
                raise rules.mismatch()
            if verdict == b"full":
                self._room.seen(*map(int, more[:2]))
                raise self._refusal(job.cost, now, more)
            name, *waits = more
            job_id = name.decode()
            if waits:
                self._room.seen(*map(int, waits))
        finally:
            if job_id != job.id:
                self._subscription.expect_no_more(job.id)
        if attended:
            self._attendance.begin(job_id)
        return job_id

    async def leave(self, job_id: str, waiter: str) -> None:
        self._subscription.expect_no_more(job_id)
        await self._attendance.leave(job_id, waiter)

    async def claim(self, checkpoints: Collection[str], room: Room = ANY_ROOM) -> Claim:
        return await self.claiming.claim(checkpoints, room)

    async def renew(self, claims: Collection[Claim]) -> list[Claim]:
        return await self.claiming.renew(claims)

    async def sweep(self) -> None:
        redelivered, given_up, orphaned, mend, gap = await self.scripts.run("sweep")
        if gap:
            logger.warning("%s", replies.told_gap(self._shard, *map(int, gap)))
        if mend:
            jobs = await self.scripts.run("mend")
            logger.warning("the queues of %d jobs were made again of the jobs' hashes", jobs)
        self._observer.swept(redelivered, given_up)
        self._observer.orphaned(orphaned)
        if redelivered or given_up:
            logger.warning(
                "of silent workers' jobs %d wait again, %d were given up", redelivered, given_up
            )
        if orphaned:
            logger.warning("%d jobs were dropped: the API that waited for them died", orphaned)

    async def report(self, claim: Claim, progress: float, preview: bytes = b"") -> bool:
        watched: int = await self.scripts.run(
            *("report", claim.job.id, claim.epoch, progress, preview),
            *(news.RECENT, int(1000 * SLACK_S)),
        )
        return bool(watched)

    async def complete(self, claim: Claim, outcome: Outcome) -> bool:
        return await self.claiming.complete(claim.job.id, claim.epoch, outcome)

    async def release(self, claim: Claim) -> None:
        await self.scripts.run("release", claim.job.id, claim.epoch)

    async def cancel(self, job_id: str) -> None:
        if not await self.scripts.run("cancel", job_id):
            raise await self._records.missing(job_id)

    async def summary(self, job_id: str) -> JobSummary:
        return await self._records.summary(job_id)

    async def jobs(
        self, owner: str | None, status: JobStatus | None, limit: int, before: int | None
    ) -> Page:
        return await self._records.page(owner, status, limit, before)

    async def record(self, job_id: str) -> JobRecord:
        record = await self._records.record(job_id)
        assert record is not None
        return record

    async def wait(self, job_id: str) -> JobRecord:
        heard = self._subscription.expects(job_id)
        with self._subscription.end_of(job_id) as event:
            if heard:
                await self._subscription.until(event, self._poll_s)
            while True:
                event.clear()
                try:
                    if record := await self._records.record(job_id, ended=True):
                        self._attendance.ended(job_id)
                        return record
                except StoreUnavailable as error:
                    logger.info("still waiting for a job, the store is unavailable: %s", error)
                await self._subscription.until(event, self._poll_s)

    async def watch(self, job_id: str, after: int | None) -> AsyncGenerator[News]:
        with self._subscription.change_of(job_id) as event:
            while True:
                event.clear()
                try:
                    reply = await self.scripts.run("watch", job_id, self._clock() + WATCHED_S)
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
                await self._subscription.until(event, self._poll_s)

    async def expire(self, job_id: str) -> None:
        await self.scripts.run("expire", job_id)

    async def forget(self, job_id: str) -> None:
        await self.scripts.run("forget", job_id)

    def cancellations(self, listener: Cancellations | None = None) -> AsyncIterator[str]:
        return self._subscription.cancellations(listener)

    def _refusal(self, cost: int, now: float, full: list[Any]) -> QueueFull:
        # What counts is what the script has found; its numbers may have changed by other hands.
        refusal = replies.overload(now, *full).refusal(cost, self._bounds)
        return refusal or QueueFull("too much waits", 1)


def life_ms(job: Job, now: float) -> int:
    """Return how long the payload of a job that is queued at `now` lives, in milliseconds."""
    return int(1000 * min(max(0.0, job.deadline - now) + SLACK_S, LONGEST_S))
