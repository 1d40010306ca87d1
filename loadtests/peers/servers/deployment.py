"""A server of the comparison as processes of this machine: started, frozen while idle, stopped."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[3]
READY_WITHIN_S = 90.0
STOP_WITHIN_S = 10.0
POLL_S = 0.05
LAST_LINES = 20
# Settings of this shell that are none of a server's.
FOREIGN = ("MULAN_", "MOSEC_", "LITSERVE_", "PEERS_")


class Deployment:
    """The processes of one server, each command in a session of its own.

    Some servers poll while they are idle, so `freeze` stops all processes until `thaw`.
    """

    def __init__(
        self, commands: Sequence[Sequence[str]], environment: dict[str, str], log: Path
    ) -> None:
        self._commands, self._log = commands, log
        own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        self._environment = own | environment
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start every command, and return at once."""
        with self._log.open("ab") as log:
            for command in self._commands:
                process = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
                self._processes.append(process)

    def await_ready(self, answers: Callable[[], bool]) -> None:
        """Wait until `answers` returns True. Raises RuntimeError if a process ends before, or all
        takes too long."""
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            for process in self._processes:
                if process.poll() is not None:
                    raise RuntimeError(f"ended with {process.returncode}: {self._told(process)}")
            with contextlib.suppress(httpx.TransportError):
                if answers():
                    return
            time.sleep(POLL_S)
        raise RuntimeError(f"not ready within {READY_WITHIN_S:.0f} s: {self._told()}")

    def freeze(self) -> None:
        """Stop all processes where they are."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let all processes go on."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End all processes, those that a server started itself among them."""
        self.thaw()
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_WITHIN_S)
        self._signal(signal.SIGKILL)
        for process in self._processes:
            process.wait()
        deadline = time.monotonic() + STOP_WITHIN_S
        while self.pids() and time.monotonic() < deadline:
            time.sleep(POLL_S)
        self._processes.clear()

    def pids(self) -> list[int]:
        """Return all processes of the server's sessions that have not ended."""
        numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [pid for pid in numbers if _session(pid) in self._sessions]

    def spent_s(self) -> float:
        """Return the processor time of all processes so far, in seconds."""
        ticks = sum(int(field) for pid in self.pids() for field in _stat(pid)[11:13])
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident_mb(self) -> float:
        """Return the resident memory of all processes, in MB; what they share counts in each."""
        found = (_stat(pid) for pid in self.pids())
        pages = sum(int(fields[21]) for fields in found if fields)
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def _sessions(self) -> set[int]:
        return {process.pid for process in self._processes}

    def _told(self, process: subprocess.Popen[bytes] | None = None) -> str:
        """Return a process's command line, or all of them, and the end of the log."""
        lines = self._log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join([str(process.args if process else self._commands), *lines])

    def _signal(self, number: signal.Signals) -> None:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat from the state on, or none of a process that is
    gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _session(pid: int) -> int:
    """Return the session of a process, or -1 of one that has ended."""
    fields = _stat(pid)
    return int(fields[3]) if fields and fields[0] != "Z" else -1
