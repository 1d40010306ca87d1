"""The results that a store in memory keeps: how many bytes, whose, and which have to go."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from itertools import takewhile
from typing import Any

from service.jobs import Job, Outcome
from service.store.bounds import Bounds

# Bytes that a kept job takes beside its images: its record and its places in the indexes.
_OVERHEAD = 2_000
# Bytes of one number or one short text in a result.
_SMALL = 100


class KeptResults:
    """Ended jobs whose result is kept, the oldest first, with their owner and size in bytes.

    A result is dropped when it is older than the retention, unless `awaited` says of its id that
    somebody is about to read it; when its owner has more results than one may have; or when all
    results together are larger than the bound, and then the owner with the most bytes loses its
    oldest, so that no owner's flood displaces another's results. For their number or size only
    results older than `unread_s` are dropped.
    """

    def __init__(self, bounds: Bounds, awaited: Callable[[str], bool]) -> None:
        self._bounds, self._awaited = bounds, awaited
        self._ends: dict[str, dict[str, float]] = {}
        self._sizes: dict[str, int] = {}
        self._bytes: Counter[str] = Counter()

    def __len__(self) -> int:
        """Number of kept results."""
        return len(self._sizes)

    def add(self, job: Job, outcome: Outcome, now: float) -> None:
        """Keep the result of a job that ends at `now`, seconds since the epoch."""
        size = _OVERHEAD + size_of(job.task) + size_of(outcome)
        self._ends.setdefault(job.owner, {})[job.id] = now
        self._sizes[job.id] = size
        self._bytes[job.owner] += size

    def remove(self, owner: str, job_id: str) -> None:
        """Keep a result no longer; nothing happens if it is not kept."""
        size = self._sizes.pop(job_id, None)
        if size is None:
            return
        del self._ends[owner][job_id]
        self._bytes[owner] -= size
        if not self._ends[owner]:
            del self._ends[owner], self._bytes[owner]

    def surplus(self, now: float) -> Iterator[tuple[str, str]]:
        """Owner and id of each result that has to go, which the caller removes before the next."""
        bounds = self._bounds
        for owner in list(self._ends):
            for job_id in self._before(owner, now - bounds.retention_s):
                if not self._awaited(job_id):
                    yield owner, job_id
            while len(self._ends.get(owner, ())) > bounds.retained:
                oldest = self._oldest(owner, now - bounds.unread_s)
                if oldest is None:
                    break
                yield owner, oldest
        while self._bytes.total() > bounds.retained_bytes:
            for owner, _ in self._bytes.most_common():
                oldest = self._oldest(owner, now - bounds.unread_s)
                if oldest is not None:
                    yield owner, oldest
                    break
            else:
                return

    def _before(self, owner: str, before: float) -> list[str]:
        """Ids of the owner's results that ended earlier than `before`, the oldest first."""
        ends = self._ends.get(owner, {}).items()
        return [job_id for job_id, _ in takewhile(lambda end: end[1] < before, ends)]

    def _oldest(self, owner: str, before: float) -> str | None:
        """Id of the owner's oldest result, if it ended earlier than `before`."""
        for job_id, ended in self._ends.get(owner, {}).items():
            return job_id if ended < before else None
        return None


def size_of(value: Any) -> int:
    """Bytes that a task or a result takes, about: its arrays, and something for all else."""
    if hasattr(value, "nbytes"):
        return int(value.nbytes)
    if isinstance(value, tuple | list):
        return sum(map(size_of, value))
    if is_dataclass(value):
        return sum(size_of(getattr(value, field.name)) for field in fields(value))
    return _SMALL
