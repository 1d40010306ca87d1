"""What happens to a job, in the order of its numbers, as those who watch it are told.

Of the latest advances so many are kept that a watcher who was away for a moment misses none; one
who was away for longer starts again from where the job stands.
"""

from collections.abc import Sequence
from typing import NamedTuple

from service.jobs import UNFINISHED, JobStatus

KEPT = 32


class Advance(NamedTuple):
    """Progress from 0 to 1, and a PNG of the images as they are, if there is one."""

    number: int
    progress: float
    preview: bytes


class Reset(NamedTuple):
    """What the watcher has heard is too old to go on from, or no longer true."""

    number: int


class End(NamedTuple):
    """The job has ended."""

    number: int
    status: JobStatus


News = Advance | Reset | End


class ProgressLog(NamedTuple):
    """A job as watchers see it: `told` counts its advances, the latest of which are kept."""

    status: JobStatus
    progress: float
    told: int
    kept: Sequence[Advance]

    def since(self, after: int | None) -> list[News]:
        """What is new to somebody who has heard up to number `after`, or nothing yet."""
        end: list[News] = []
        if self.status not in UNFINISHED:
            end.append(End(self.told + 1, self.status))
            if after == self.told + 1:
                return end
        if after is None:
            return [self._present(), *end]
        fresh = [advance for advance in self.kept if advance.number > after]
        missed = self.told - after != len(fresh)
        return [Reset(self.told), self._present(), *end] if missed else [*fresh, *end]

    def _present(self) -> Advance:
        last = self.kept[-1] if self.kept else None
        seen = last is not None and last.number == self.told
        return Advance(self.told, self.progress, last.preview if last and seen else b"")
