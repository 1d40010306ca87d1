"""Callbacks of real processes: `mulan serve` alone, and a fleet whose API is killed in between."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis_server import RedisServer
from standardwebhooks import Webhook
from tiny_zoo import write_checkpoint

sys.path.append(str(Path(__file__).parent / "callbacks"))
from receiver import Received, receiving

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("MULAN_")}
ENVIRONMENT |= {"MULAN_CALLBACK_HOSTS": "127.0.0.1", "MULAN_CALLBACK_SECRET": SECRET}
SOON_S = 90.0
SHORT = {"model": "good", "count": 1, "solver": {"name": "ddpm", "steps": 2}}
LONG = {"model": "good", "count": 16, "solver": {"name": "ddpm", "steps": 1000}}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("zoo")
    write_checkpoint(root / "good")
    return root


@pytest.fixture
def receiver() -> Iterator[Received]:
    with receiving() as received:
        yield received


@pytest.fixture
def start(zoo: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    with ExitStack() as stack:

        def begin(part: str, *arguments: str) -> tuple[subprocess.Popen[str], str]:
            """Start a process, and return it with its address once it listens."""
            command = [sys.executable, "-c", "from service.cli import main; main()", part]
            port = "--metrics-port" if part == "worker" else "--port"
            process = subprocess.Popen(
                [*command, "--models", str(zoo), "--threads", "1", port, "0", *arguments],
                env=ENVIRONMENT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            assert process.stdout is not None
            for line in process.stdout:
                if found := re.search(r"(?:listening|metrics) on (http://[\d.:]+)", line):
                    # Somebody has to read on, or the process would wait with its log.
                    reading = threading.Thread(target=process.stdout.read)
                    reading.start()
                    for last in (process.stdout.close, process.wait, reading.join, process.kill):
                        stack.callback(last)
                    return process, found[1]
            raise AssertionError(f"{part} ended before it listened")

        yield begin


def until(condition: Callable[[], Any]) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < SOON_S
        time.sleep(0.05)


def queue(address: str, receiver: Received, work: dict[str, Any]) -> str:
    """Queue a job that calls the receiver, and return its id."""
    body = {"kind": "samples", "request": work}
    body["callback_url"] = f"http://127.0.0.1:{receiver.port}/hook"
    until(lambda: httpx.get(f"{address}/readyz").status_code == 200)
    response = httpx.post(f"{address}/v1/jobs", json=body, timeout=SOON_S)
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


def test_one_process_tells_a_job_s_end(start: Any, receiver: Received) -> None:
    process, address = start("serve")
    receiver.statuses = [503]
    job_id = queue(address, receiver, SHORT)
    until(lambda: len(receiver.bodies) == 2)
    told = [
        Webhook(SECRET).verify(body, headers)
        for body, headers in zip(receiver.bodies, receiver.headers, strict=True)
    ]
    assert told[0] == told[1]
    assert told[0]["type"] == "job.succeeded"
    assert told[0]["data"] == httpx.get(f"{address}/v1/jobs/{job_id}").json()
    metrics = httpx.get(f"{address}/metrics").text
    assert 'mulan_callbacks_total{outcome="rejected"} 1.0' in metrics
    until(lambda: 'outcome="delivered"} 1.0' in httpx.get(f"{address}/metrics").text)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_a_call_outlives_the_api_that_queued_its_job(
    start: Any, receiver: Received, tmp_path: Path
) -> None:
    server = RedisServer(tmp_path)
    server.start()
    try:
        shared = ("--store", server.url)
        api, address = start("api", *shared)
        start("worker", *shared)
        # The API is killed before the worker has ended the job.
        job_id = queue(address, receiver, LONG)
        api.kill()
        api.wait()
        assert receiver.bodies == []
        _, other = start("api", *shared)
        _, third = start("api", *shared)
        until(lambda: receiver.bodies)
        told = Webhook(SECRET).verify(receiver.bodies[0], receiver.headers[0])
        assert told["data"]["id"] == job_id
        assert json.loads(receiver.bodies[0])["type"] == "job.succeeded"
        for address in (other, third):
            until(lambda at=address: httpx.get(f"{at}/readyz").status_code == 200)
        # Two APIs look for calls every second, and one made it.
        time.sleep(2.5)
        assert len(receiver.bodies) == 1
    finally:
        server.stop()
