"""The engines of a worker, one for each device, which share its jobs."""

from collections.abc import Sequence

from service.engine.thread import EngineThread
from service.jobs import Job
from service.rows import Served


class EnginePool:
    """Engine threads that serve the same checkpoints; a job runs on one of them from begin to end.

    All methods belong to one thread, that of the worker.
    """

    def __init__(self, threads: Sequence[EngineThread]) -> None:
        self._threads = tuple(threads)
        self._jobs: dict[str, tuple[EngineThread, int]] = {}

    def start(self) -> None:
        """Start all threads."""
        for thread in self._threads:
            thread.start()

    def serve(self, checkpoint: str, served: Sequence[Served], threads: int) -> None:
        """Have every engine take jobs of one more checkpoint, which is ready on each device, and
        torch compute with so many CPU threads from then on."""
        for thread, one in zip(self._threads, served, strict=True):
            thread.serve(checkpoint, one, threads)

    def withdraw(self, checkpoint: str) -> None:
        """Have every engine forget a checkpoint of which no job is inside."""
        for thread in self._threads:
            thread.withdraw(checkpoint)

    def submit(self, job: Job) -> None:
        """Give a job to the engine whose jobs have the lowest price, whose event tells its end."""
        load = dict.fromkeys(self._threads, 0)
        for thread, cost in self._jobs.values():
            load[thread] += cost
        thread = min(self._threads, key=lambda one: load[one])
        self._jobs[job.id] = thread, max(1, job.cost)
        thread.submit(job)

    def ended(self, job_id: str) -> None:
        """Take note that a job's end was told."""
        self._jobs.pop(job_id, None)

    def abort(self, job_id: str) -> None:
        """Have the job dropped without an event."""
        if (at := self._jobs.pop(job_id, None)) is not None:
            at[0].abort(job_id)

    def watch(self, job_id: str, watched: bool) -> None:
        """Say whether a job's progress is to come with previews."""
        if (at := self._jobs.get(job_id)) is not None:
            at[0].watch(job_id, watched)

    def stop(self, timeout: float) -> bool:
        """Stop all threads after their present ticks, wait `timeout` seconds for each, and return
        whether all have stopped."""
        stopped = [thread.stop(timeout) for thread in self._threads]
        return all(stopped)

    @property
    def alive(self) -> bool:
        """Whether all threads are running."""
        return all(thread.alive for thread in self._threads)

    @property
    def tick_age(self) -> float:
        """Seconds since the oldest of the present ticks began, or 0 while there is no work."""
        return max(thread.tick_age for thread in self._threads)
