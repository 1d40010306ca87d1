"""A `mulan serve` on a free port of this machine, for load tests."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 30.0
POLL_S = 0.05


def free_port() -> int:
    """Return a port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running_service(
    *arguments: str,
    log: Path | None = None,
    program: Sequence[str] = (),
    ready_within_s: float = READY_WITHIN_S,
) -> Iterator[str]:
    """Yield the address of a service, as `running_process` starts and stops it."""
    started = running_process(*arguments, log=log, program=program, ready_within_s=ready_within_s)
    with started as (address, _):
        yield address


@contextlib.contextmanager
def running_process(
    *arguments: str,
    log: Path | None = None,
    program: Sequence[str] = (),
    ready_within_s: float = READY_WITHIN_S,
    port_flag: str = "--port",
) -> Iterator[tuple[str, int]]:
    """Start the service, wait until it is ready, yield its address and process id, and stop it by
    SIGTERM.

    `program` may start another service in `mulan serve`'s place, which takes its port by
    `port_flag`. Raises RuntimeError when it does not become ready, or does not exit with 0.
    """
    port = free_port()
    serve = program or (str(Path(sys.executable).with_name("mulan")), "serve")
    command = [*serve, port_flag, str(port), *arguments]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("MULAN_")
    }
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("wb")) if log else subprocess.DEVNULL
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            address = f"http://127.0.0.1:{port}"
            _await_ready(address, process, ready_within_s)
            yield address, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
        if code:
            raise RuntimeError(f"the service exited with {code}")


def _await_ready(address: str, process: subprocess.Popen[bytes], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the service exited with {process.returncode} before it was ready")
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{address}/readyz").status_code == httpx.codes.OK:
                return
        time.sleep(POLL_S)
    raise RuntimeError(f"the service was not ready within {within_s:.0f} s")
