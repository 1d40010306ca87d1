"""The interface of a store. API processes put jobs and wait for them; workers claim and complete
them."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from service.jobs import Job, JobStatus, Outcome
from service.store.news import News
from service.store.rules import Load


class Key(NamedTuple):
    """An idempotency key: `scope` names caller, path and key; `digest` names the request."""

    scope: str
    digest: str


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A job without its images and its outcome.

    Times are in seconds since the epoch. `place` is the job's number among all that were admitted.
    """

    id: str
    kind: str
    model: str
    checkpoint: str
    owner: str
    priority: int
    cost: int
    created_at: float
    deadline: float
    place: int
    status: JobStatus
    progress: float
    started_at: float | None
    finished_at: float | None


class Page(NamedTuple):
    """A part of a list of jobs; the next part has those `before` a place, and None is the end."""

    jobs: list[JobSummary]
    before: int | None


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job with its images and, once it has ended, its outcome.

    Times are in seconds since the epoch.
    """

    job: Job
    status: JobStatus
    progress: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's hold on a job, `since` a time on the monotonic clock, in seconds.

    A later claim of the same job has a higher epoch and wins. A job that was held by a worker that
    died, a suspect, has a `company`: the number of jobs that its worker may hold, itself counted;
    with 1 it runs alone. None stands for any number.
    """

    job: Job
    epoch: int
    company: int | None = None
    since: float = field(default_factory=time.monotonic, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is held: the job that has ended, where to tell it, and the attempt's number, from
    1."""

    job: JobSummary
    url: str
    attempt: int


class Callbacks(Protocol):
    """The calls that one store owes. Every method may raise StoreUnavailable."""

    async def take(self, lease_s: float) -> Call | None:
        """Take the call that has been due for longest, for `lease_s` seconds; None if none is."""
        ...

    async def settle(self, call: Call, again_in_s: float | None) -> None:
        """Have a call due again in so many seconds, or never; one that a later attempt holds is
        left alone."""
        ...


class Room:
    """The room that a worker has for jobs, asked at each look for one. This one has any room.

    `held` is the number of jobs that it holds, and `full` whether one more fills it. `patience` is
    for how many seconds a suspect may be kept for it that needs fewer beside it, or 0.
    """

    @property
    def held(self) -> int:
        return 0

    @property
    def full(self) -> bool:
        return False

    @property
    def patience(self) -> float:
        return 0.0

    async def make(self, company: int) -> None:
        """Wait until fewer than `company` jobs are held, or until that has taken too long."""


ANY_ROOM = Room()


class Store(Protocol):
    """A store of jobs. Every method may raise StoreUnavailable.

    An ended job is dropped in two steps: first its result, and later the memory that it existed.
    """

    @property
    def callbacks(self) -> Callbacks:
        """The calls that are owed about jobs that have ended."""
        ...

    def new_id(self, key: Key | None = None) -> str:
        """Make the id of a job that is about to be put, with this key if it has one."""
        ...

    def part(self, job_id: str) -> int:
        """Return the number of the part of the store that a job belongs to. One may be away while
        the others answer."""
        ...

    async def check_capacity(self, owner: str, cost: int) -> None:
        """Check whether the queue could take the owner's job of this cost now, in row-evaluations.
        Raises QueueFull."""
        ...

    async def knows(self, key: Key) -> bool:
        """Whether a put with this key would join a job that is known, rather than admit one.
        Raises InvalidRequest (idempotency-mismatch)."""
        ...

    async def load(self) -> Load:
        """Return how much is queued and running, and how fast the queue drains."""
        ...

    async def has_jobs(self, checkpoint: str) -> bool:
        """Whether a job of this checkpoint waits or runs."""
        ...

    async def put(self, job: Job, key: Key | None = None, attended: bool = False) -> str:
        """Admit a job and return its id, or the id of a remembered job that has the same key.

        An `attended` job exists for those who wait for it. Each caller of `put` is one of them,
        under the id of the job that it brought, and each has to `leave`, even if `put` raised
        StoreUnavailable. A process that dies leaves for all of its callers, within two leases.
        Raises QueueFull when a bound on queued work is reached, and InvalidRequest
        (idempotency-mismatch) when the key was used for another request.
        """
        ...

    async def leave(self, job_id: str, waiter: str) -> None:
        """Stop waiting for an attended job as `waiter`, the id of the job that the caller put.

        When the last waiter leaves, the job is cancelled and forgotten, unless it has a key under
        which its result or failure may be asked for. To leave again changes nothing.
        """
        ...

    async def claim(self, checkpoints: Collection[str], room: Room = ANY_ROOM) -> Claim:
        """Wait for a job of one of these checkpoints and hold it. Owners take turns by the cost of
        their jobs; of one owner's the highest priority is first, then the oldest. Suspects take
        turns with the owner's other jobs, and one is taken only where there is `room` for it."""
        ...

    async def renew(self, claims: Collection[Claim]) -> list[Claim]:
        """Renew the leases of these claims, and return the claims that no longer hold their job."""
        ...

    async def sweep(self) -> None:
        """End queued jobs past their deadline, and take back the jobs of dead workers.

        Any process may sweep, and one should do so every second.
        """
        ...

    async def report(self, claim: Claim, progress: float, preview: bytes = b"") -> bool:
        """Record progress, from 0 to 1, with a PNG if there is one, and return whether somebody
        watches the job."""
        ...

    async def complete(self, claim: Claim, outcome: Outcome) -> bool:
        """End a job with its outcome, once. Return False if the job had ended already, or a later
        claim holds it."""
        ...

    async def release(self, claim: Claim) -> None:
        """Hand a job that has not ended back to the queue."""
        ...

    async def cancel(self, job_id: str) -> None:
        """Cancel a job that has not ended, and tell its worker. Raises UnknownJob."""
        ...

    async def summary(self, job_id: str) -> JobSummary:
        """Return the summary of a job. Raises UnknownJob, its kind JobLost for a job that was lost
        with the store's data, and ComputationFailed for one that cannot be read."""
        ...

    async def jobs(
        self, owner: str | None, status: JobStatus | None, limit: int, before: int | None
    ) -> Page:
        """List the jobs of an owner, or of everybody, the latest first.

        A `status` selects jobs of that status, and `before` jobs that were admitted before that
        place. A page may hold fewer than `limit` jobs without being the last.
        """
        ...

    async def record(self, job_id: str) -> JobRecord:
        """Return a whole job. Raises UnknownJob, ResultExpired."""
        ...

    async def wait(self, job_id: str) -> JobRecord:
        """Wait until a job has ended, also while the store is away. Raises UnknownJob,
        ResultExpired. A job that was known and no longer is was lost with the store's data."""
        ...

    def watch(self, job_id: str, after: int | None) -> AsyncGenerator[News]:
        """Yield what happens to a job, from its present state or after the event of that number,
        until it has ended. The watch goes on while the store is unavailable. Raises UnknownJob."""
        ...

    async def expire(self, job_id: str) -> None:
        """Drop the result of an ended job; one that has not ended, or is unknown, is left alone."""
        ...

    async def forget(self, job_id: str) -> None:
        """Drop an ended job; one that has not ended, or is unknown, is left alone."""
        ...

    def cancellations(self) -> AsyncIterator[str]:
        """Yield the ids of jobs that are cancelled while a worker holds them, as that happens."""
        ...
