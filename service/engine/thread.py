"""The thread that owns the engine. Commands come in by a queue, events go out by a callback."""

import logging
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

import torch

from service.engine.engine import Engine
from service.engine.events import Event
from service.errors import ComputationFailed
from service.jobs import Job
from service.rows import Served

logger = logging.getLogger(__name__)

Command = Callable[[], None]


class EngineThread:
    """A thread that runs an engine while it has work, and sleeps while it has none.

    `on_events` is called on this thread with the events of each tick, and must not raise. All
    methods may be called from any thread; they take effect between two network calls.
    """

    def __init__(self, engine: Engine, on_events: Callable[[list[Event]], None]) -> None:
        self._engine, self._on_events = engine, on_events
        self._commands: SimpleQueue[Command | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._tick_began: float | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def serve(self, checkpoint: str, served: Served, threads: int) -> None:
        """Have the engine take jobs of one more checkpoint, and torch compute with so many CPU
        threads from then on."""

        def begin() -> None:
            torch.set_num_threads(threads)
            self._engine.serve(checkpoint, served)

        self._commands.put(begin)

    def withdraw(self, checkpoint: str) -> None:
        """Have the engine forget a checkpoint of which no job is inside."""
        self._commands.put(lambda: self._engine.withdraw(checkpoint))

    def submit(self, job: Job) -> None:
        """Have the engine take in a job, whose end comes as an event."""
        self._commands.put(lambda: self._engine.submit(job))

    def abort(self, job_id: str) -> None:
        """Have the engine drop a job without an event."""
        self._commands.put(lambda: self._engine.abort(job_id))

    def watch(self, job_id: str, watched: bool) -> None:
        """Say whether a job's progress is to come with previews."""
        self._commands.put(lambda: self._engine.watch(job_id, watched))

    def stop(self, timeout: float | None = None) -> bool:
        """Stop after the present tick, whatever work is left, and wait `timeout` seconds for that;
        return whether the thread has stopped."""
        self._commands.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    @property
    def tick_age(self) -> float:
        """Seconds since the present tick began, or 0 while there is no work."""
        began = self._tick_began
        return 0.0 if began is None else time.monotonic() - began

    def _run(self) -> None:
        while self._run_commands():
            self._tick_began = time.monotonic()
            try:
                events = self._engine.step(time.time())
            except Exception as error:
                events = self._give_up(error)
            if events:
                self._on_events(events)

    def _run_commands(self) -> bool:
        """Carry out the commands in the queue, and wait for one while there is no work.

        Return False if the thread is to stop.
        """
        while True:
            try:
                if self._engine.idle:
                    self._tick_began = None
                    self._engine.notify_idle()
                    command = self._commands.get()
                else:
                    command = self._commands.get_nowait()
            except Empty:
                return True
            if command is None:
                return False
            try:
                command()
            except Exception as error:
                self._on_events(self._give_up(error))

    def _give_up(self, error: Exception) -> list[Event]:
        """Drop all jobs of an engine that failed; the thread lives on."""
        logger.error("the engine failed; all of its jobs are dropped", exc_info=error)
        return self._engine.abandon(ComputationFailed(f"the engine failed: {error!r}"))
