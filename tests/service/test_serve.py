"""`mulan serve` as a process: ready, at work, stopped."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from tiny_zoo import write_checkpoint

from service.cli import main
from service.engine.thread import EngineThread
from service.errors import ServeError
from service.serve import serve
from service.settings import Settings

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("MULAN_")}

DRAIN_S = 30


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good checkpoint, and one whose weights were changed."""
    root = tmp_path_factory.mktemp("zoo")
    for name in ("good", "tampered"):
        write_checkpoint(root / name)
    with (root / "tampered" / "weights.safetensors").open("ab") as file:
        file.write(b"\0")
    return root


def start(zoo: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from service.cli import main; main()", "serve"]
    return subprocess.Popen(
        [*command, "--models", str(zoo), "--threads", "1", *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def process(zoo: Path) -> Iterator[subprocess.Popen[str]]:
    process = start(zoo, "--port", "0", "--drain-s", str(DRAIN_S))
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if "listening on" in line:
            return line.split("listening on ")[1].split(",")[0]
    raise AssertionError("the process ended before it listened")


def test_from_start_to_a_graceful_stop(process: subprocess.Popen[str]) -> None:
    url = address(process)
    began = time.monotonic()
    assert httpx.get(f"{url}/livez").status_code == 200
    while httpx.get(f"{url}/readyz").status_code != 200:
        assert time.monotonic() - began < 30
        time.sleep(0.05)
    assert [model["name"] for model in httpx.get(f"{url}/v1/models").json()["models"]] == ["good"]
    metrics = httpx.get(f"{url}/metrics").text
    for line in ('mulan_model_workers{model="good"} 1.0', 'mulan_store_up{shard="0"} 1.0'):
        assert line in metrics
    for family in ("mulan_engine_tick_seconds", "mulan_jobs_total", "mulan_http_requests_total"):
        assert f"# TYPE {family}" in metrics
    with httpx.Client(base_url=url, timeout=60) as client, ThreadPoolExecutor() as pool:
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/samples", json=work(1000, 1000), timeout=0.5)
        running = pool.submit(client.post, "/v1/samples", json=work(64, 200))
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        stopping = time.monotonic()
        answer = client.get("/readyz")
        while answer.status_code == 200:
            answer = client.get("/readyz")
        assert answer.json()["code"] == "draining"
        assert client.post("/v1/samples", json=work(1, 1)).json()["code"] == "draining"
        assert running.result().status_code == 200
        assert all(image["nfe"] == 200 for image in running.result().json()["images"])
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    # The abandoned request alone would have taken longer than the whole drain may.
    assert time.monotonic() - stopping < DRAIN_S
    assert "refused tampered" in output
    assert "ready after" in output


def work(count: int, steps: int) -> dict[str, Any]:
    return {"model": "good", "count": count, "seed": 1, "solver": {"name": "ddpm", "steps": steps}}


def test_a_port_in_use_is_one_line(zoo: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(main, ["serve", "--port", port, "--models", str(zoo)])
    assert result.exit_code == 1
    assert (
        result.output == f"Error: cannot listen on 127.0.0.1 port {port}: Address already in use\n"
    )


def test_nothing_to_serve_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["serve", "--port", "0", "--models", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output == f"Error: no checkpoint in {tmp_path} can be served\n"
    nowhere = str(tmp_path / "nowhere")
    result = CliRunner().invoke(main, ["serve", "--port", "0", "--models", nowhere])
    assert (
        result.output
        == f"Error: no checkpoint in {nowhere} can be served: there is no such folder\n"
    )


def test_a_dead_worker_ends_the_process(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_thread = EngineThread.start

    def start_and_die(thread: EngineThread) -> None:
        start_thread(thread)
        thread.stop()

    monkeypatch.setattr(EngineThread, "start", start_and_die)
    with pytest.raises(ServeError, match="worker has died"):
        serve(Settings(port=0, models=zoo), time.monotonic())


@pytest.mark.parametrize("wait_s", [0.0, 1.5])
def test_a_stop_at_any_moment_is_no_error(zoo: Path, wait_s: float) -> None:
    process = start(zoo, "--port", "0")
    try:
        url = address(process)
        while wait_s and httpx.get(f"{url}/readyz").status_code != 200:
            time.sleep(0.05)
        time.sleep(wait_s)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert "Error" not in output
