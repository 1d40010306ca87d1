"""News of a job for those who watch it, in the order of their numbers.

The latest advances are kept, so that a watcher who was away for a moment misses none. A watcher who
was away for longer starts again from the present state of the job.
"""

from collections.abc import Sequence
from typing import NamedTuple

from service.jobs import UNFINISHED, JobStatus

# Advances of a job that are kept.
RECENT = 32


class Advance(NamedTuple):
    """Progress from 0 to 1, and a PNG of the images as they are now, empty if there is none."""

    number: int
    progress: float
    preview: bytes


class Reset(NamedTuple):
    """A new start: what the watcher has seen is too old to go on from, or no longer true."""

    number: int


class End(NamedTuple):
    """The end of the job."""

    number: int
    status: JobStatus


News = Advance | Reset | End


class ProgressLog(NamedTuple):
    """The progress of a job as watchers see it.

    `last_number` is the number of the latest advance, or of the reset after it; `recent` has the
    latest advances.
    """

    status: JobStatus
    progress: float
    last_number: int
    recent: Sequence[Advance]

    def since(self, after: int | None) -> list[News]:
        """Return what is new to a watcher who has seen all up to number `after`, or nothing yet."""
        end: list[News] = []
        if self.status not in UNFINISHED:
            end.append(End(self.last_number + 1, self.status))
            if after == self.last_number + 1:
                return end
        if after is None:
            return [self._current(), *end]
        fresh = [advance for advance in self.recent if advance.number > after]
        missed = self.last_number - after != len(fresh)
        return [Reset(self.last_number), self._current(), *end] if missed else [*fresh, *end]

    def _current(self) -> Advance:
        last = self.recent[-1] if self.recent else None
        seen = last is not None and last.number == self.last_number
        return Advance(self.last_number, self.progress, last.preview if last and seen else b"")
