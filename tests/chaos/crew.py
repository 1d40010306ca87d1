"""API and workers as real processes, forked from one with its imports done: soon replaced."""

import asyncio
import faulthandler
import logging
import os
import random
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from loadtests.local import free_port
from service import serve_api, serve_worker
from service.engine.engine import Engine
from service.engine.events import Event
from service.jobs import Job
from service.settings import Settings

# No numbers of a request in any flood; the second kills after so many evaluations.
POISON, SLOW_POISON = 1_000_000_007, 1_000_000_009
SLOWLY = 20
READY_WITHIN_S = 60.0
# The last one is what autograd imports when it is first called, which takes longer than all else.
PRELOADED = [
    "service.serve_api",
    "service.serve_worker",
    "torch.fx.experimental.symbolic_shapes",
]
_MINDERS_PAUSE_S = 0.05


class _Poisoned(Engine):
    """Dies of one seed at once, and of another in mid-run."""

    left: int | None = None

    def submit(self, job: Job) -> None:
        if job.task.seed == POISON:
            os.kill(os.getpid(), signal.SIGKILL)
        if job.task.seed == SLOW_POISON:
            self.left = SLOWLY
        super().submit(job)

    def step(self, now: float) -> list[Event]:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().step(now)


def _run(part: str, settings: Settings, log: Path) -> None:
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    faulthandler.enable()
    tasks = log.with_suffix(f".{os.getpid()}")
    signal.signal(signal.SIGUSR1, lambda *_: write_whole(tasks, str(len(asyncio.all_tasks()))))
    logging.basicConfig(level="INFO", format="%(asctime)s %(process)d %(name)s: %(message)s")
    if part == "api":
        serve_api.serve(settings, time.monotonic())
        return
    sys.modules["service.worker"].Engine = _Poisoned  # type: ignore[attr-defined]
    serve_worker.serve(settings, time.monotonic())


def write_whole(path: Path, text: str) -> None:
    whole = path.with_suffix(path.suffix + ".part")
    whole.write_text(text)
    whole.rename(path)


class Crew(AbstractContextManager["Crew"]):
    """One API and `size` workers; a worker that dies is replaced at once. Each process may have a
    URL of its own, which `redis_url` makes of its part."""

    def __init__(
        self,
        size: int,
        zoo: Path,
        redis_url: str | Callable[[str], str],
        log: Path,
        **settings: Any,
    ) -> None:
        self._url_of = redis_url if callable(redis_url) else lambda part: redis_url
        chosen = {"models": zoo, "port": free_port(), "threads": 1}
        self.settings = Settings.model_validate(
            {**chosen, "lease_s": 2.0, "drain_s": 5.0, **settings}
        )
        self.size, self.log = size, log
        self.address = f"http://127.0.0.1:{self.settings.port}"
        self.replaced = 0
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        self._api = self._start("api")
        self.workers = [self._start("worker") for _ in range(size)]
        self._minding = True
        self._minder = threading.Thread(target=self._mind)

    def __enter__(self) -> "Crew":
        self._minder.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._minding = False
        self._minder.join()
        for process in (*self.workers, self._api):
            process.terminate()
        for process in (*self.workers, self._api):
            process.join(20)
            process.kill()

    def wait_until_ready(self) -> float:
        """Seconds until the API takes requests."""
        began = time.monotonic()
        while time.monotonic() - began < READY_WITHIN_S:
            try:
                if httpx.get(f"{self.address}/readyz").status_code == httpx.codes.OK:
                    return time.monotonic() - began
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"not ready: {self.log.read_text()}")

    def memory(self) -> dict[int, int]:
        """Resident bytes of each process."""
        found = {}
        for process in (self._api, *self.workers):
            pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
            found[process.pid or 0] = int(pages) * os.sysconf("SC_PAGE_SIZE")
        return found

    def tasks(self) -> dict[int, int]:
        """How many each process has on its event loop, once it is ready."""
        return {process.pid or 0: self._tasks(process) for process in (self._api, *self.workers)}

    def _tasks(self, process: ForkServerProcess) -> int:
        pid, began = process.pid, time.monotonic()
        assert pid is not None
        told = self.log.with_suffix(f".{pid}")
        told.unlink(missing_ok=True)
        while not re.search(rf" {pid} \S+ ready after", self.log.read_text()):
            assert time.monotonic() - began < READY_WITHIN_S
            time.sleep(0.05)
        os.kill(pid, signal.SIGUSR1)
        while not told.exists():
            assert time.monotonic() - began < READY_WITHIN_S
            time.sleep(0.01)
        return int(told.read_text())

    def kill_one(self, chance: random.Random) -> None:
        """SIGKILL to a worker."""
        chance.choice(self.workers).kill()

    def pause(self, place: int) -> None:
        """SIGSTOP to a worker."""
        self._signal(place, signal.SIGSTOP)

    def resume(self, place: int) -> None:
        """SIGCONT to a worker."""
        self._signal(place, signal.SIGCONT)

    def _signal(self, place: int, number: signal.Signals) -> None:
        pid = self.workers[place].pid
        assert pid is not None
        os.kill(pid, number)

    def _start(self, part: str) -> ForkServerProcess:
        settings = self.settings.model_copy(update={"store": self._url_of(part)})
        process = self._context.Process(target=_run, args=(part, settings, self.log))
        process.start()
        return process

    def _mind(self) -> None:
        while self._minding:
            for place, process in enumerate(self.workers):
                if not process.is_alive():
                    process.join()
                    with self.log.open("a") as log:
                        print(f"worker {process.pid} ended: {process.exitcode}", file=log)
                    self.replaced += 1
                    self.workers[place] = self._start("worker")
            time.sleep(_MINDERS_PAUSE_S)
