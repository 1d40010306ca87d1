"""Servers as processes, and the client that times their answers."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from loadtests.peers.client import play
from loadtests.peers.core import Choice
from loadtests.peers.servers.catalogue import PEERS, Running
from loadtests.peers.servers.deployment import Deployment
from loadtests.peers.traffic import Arrival, Kind

# A process that starts another one; both are busy all the time.
BUSY_PAIR = (
    "import subprocess, sys\n"
    "if len(sys.argv) < 2: subprocess.Popen([sys.executable, sys.argv[0], 'child'])\n"
    "while True: pass\n"
)
KIND = Kind("one", solver={"name": "ddpm", "steps": 1})
SERVICE_S = 0.1


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    script = tmp_path / "busy.py"
    script.write_text(BUSY_PAIR)
    one = Deployment([[sys.executable, str(script)]], Choice().environment(), tmp_path / "log")
    one.start()
    yield one
    one.stop()


def await_true(holds: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_frozen_server_spends_no_time_and_a_stopped_one_is_gone(deployment: Deployment) -> None:
    await_true(lambda: len(deployment.pids()) == 2)
    pids = deployment.pids()
    await_true(lambda: deployment.spent_s() > 0.1)
    assert deployment.resident_mb() > 5
    deployment.freeze()
    time.sleep(0.1)
    before = deployment.spent_s()
    time.sleep(0.3)
    assert deployment.spent_s() == before
    deployment.thaw()
    await_true(lambda: deployment.spent_s() > before)
    deployment.stop()
    assert not any(runs(pid) for pid in pids)


def runs(pid: int) -> bool:
    """Whether a process has not ended; a zombie has."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_server_that_ends_at_once_is_an_error(tmp_path: Path) -> None:
    deployment = Deployment(
        [[sys.executable, "-c", "raise SystemExit('no port')"]], {}, tmp_path / "log"
    )
    deployment.start()
    with pytest.raises(RuntimeError, match=r"(?s)ended with 1: .*no port"):
        deployment.await_ready(lambda: False)
    deployment.stop()


class _OneAtATime(BaseHTTPRequestHandler):
    """Answers one request after another, each after a while."""

    protocol_version = "HTTP/1.1"
    turn = threading.Lock()

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.turn:
            time.sleep(SERVICE_S)
        body = json.dumps({"images": [{"png": f"{self.path} {request['seed']}"}]}).encode()
        self.send_response(200 if request["seed"] < 100 else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


class _Quiet(ThreadingHTTPServer):
    """Does not print that a client has left."""

    def handle_error(self, request: object, client_address: object) -> None:
        return


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with _Quiet(("127.0.0.1", 0), _OneAtATime) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        nothing = Deployment([], {}, tmp_path / "log")
        yield Running(PEERS["mosec"], f"http://127.0.0.1:{server.server_port}", nothing)
        server.shutdown()
        thread.join()


def test_requests_go_at_their_times_whether_or_not_others_are_answered(running: Running) -> None:
    coming = [Arrival(0.02 * number, KIND, seed=number) for number in range(5)]
    outcomes = play(running, "digits", coming, (), patience_s=20.0)
    assert [one.images for one in outcomes] == [(f"/predict {number}",) for number in range(5)]
    latencies = sorted(one.latency for one in outcomes)
    # Each waits for those before it, less the time by which it came later.
    for place, latency in enumerate(latencies):
        assert latency > (place + 1) * SERVICE_S - 0.02 * 4
    assert latencies[-1] > 4 * SERVICE_S


def test_what_is_late_is_given_up_and_what_is_refused_is_told(running: Running) -> None:
    coming = [Arrival(0.0, KIND, seed=seed) for seed in (100, *range(40))]
    outcomes = play(running, "digits", coming, (), patience_s=1.0)
    refused, *others = outcomes
    given_up = [one for one in others if one.ended is None]
    assert 10 < len(given_up) < 40
    assert not any(one.ok for one in given_up)
    assert refused.ended is None or refused.status == 503
    assert not refused.ok
