"""The jobs that wait in memory: a queue for each checkpoint and owner, served in fair turns."""

import heapq
from collections import Counter
from collections.abc import Collection

from service.store.base import JobSummary
from service.store.rules import Share
from service.store.turns import Turns

# Orders one owner's jobs: minus the priority, then the place.
Order = tuple[int, int]


class WaitingJobs:
    """The queued jobs of all owners. Of one owner's jobs the highest priority is first, then the
    oldest job. Owners take turns (`Turns`), whatever the priorities of their jobs."""

    def __init__(self) -> None:
        self._queues: dict[tuple[str, str], list[tuple[Order, str]]] = {}
        self._jobs: Counter[str] = Counter()
        self._cost: Counter[str] = Counter()
        self._turns = Turns()

    def __len__(self) -> int:
        """Number of waiting jobs."""
        return self._jobs.total()

    @property
    def cost(self) -> int:
        """Predicted row-evaluations of all waiting jobs."""
        return self._cost.total()

    def of(self, owner: str) -> Share:
        """One owner's part of the waiting work."""
        return Share(self._jobs[owner], self._cost[owner])

    def owners_with(self, owner: str) -> int:
        """Number of owners that have waiting jobs, the given one counted in any case."""
        return len({owner, *self._jobs})

    def ids(self) -> list[str]:
        """Ids of all waiting jobs."""
        return [job_id for queue in self._queues.values() for _, job_id in queue]

    def add(self, job: JobSummary, order: Order) -> None:
        """Let a job wait."""
        queue = self._queues.setdefault((job.checkpoint, job.owner), [])
        heapq.heappush(queue, (order, job.id))
        self._jobs[job.owner] += 1
        self._cost[job.owner] += job.cost

    def remove(self, job: JobSummary, order: Order) -> None:
        """Take a job out of its queue, which is short because it is bounded."""
        queue = self._queues[job.checkpoint, job.owner]
        queue.remove((order, job.id))
        heapq.heapify(queue)
        if not queue:
            del self._queues[job.checkpoint, job.owner]
        self._jobs[job.owner] -= 1
        self._cost[job.owner] -= job.cost
        if not self._jobs[job.owner]:
            del self._jobs[job.owner], self._cost[job.owner]
        if not self._queues:
            self._turns.reset()

    def first(self, checkpoints: Collection[str]) -> str | None:
        """Id of the job of these checkpoints that is to run next; it goes on waiting."""
        heads: dict[str, tuple[Order, str]] = {}
        for (checkpoint, owner), queue in self._queues.items():
            if checkpoint in checkpoints:
                heads[owner] = min(queue[0], heads.get(owner, queue[0]))
        if not heads:
            return None
        owner = min(heads, key=lambda name: (self._turns.start(name), heads[name][0][1]))
        return heads[owner][1]

    def took(self, job: JobSummary) -> None:
        """Count a job that now runs as a turn of its owner."""
        if self._queues:
            self._turns.take(job.owner, job.cost)
