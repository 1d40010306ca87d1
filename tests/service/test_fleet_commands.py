"""`mulan api` and `mulan worker` as processes: ready, at work, stopped."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from fleet_processes import READY_WITHIN_S, Fleet, line_with
from redis_server import RedisServer
from tiny_zoo import write_checkpoint

from models.anomaly.ranked import CALIBRATION
from models.checkpoints.checkpoint import load_checkpoint
from service.cli import main
from service.images.npy import encode_npy


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("zoo")
    write_checkpoint(root / "good")
    write_checkpoint(root / "plain")
    (root / "plain" / CALIBRATION).unlink()
    return root


@pytest.fixture
def fleet(tmp_path: Path, zoo: Path) -> Iterator[Fleet]:
    server = RedisServer(tmp_path)
    server.start()
    with ExitStack() as stack:
        stack.callback(server.stop)
        yield Fleet(server, zoo, stack)


def test_from_start_to_a_graceful_stop(fleet: Fleet) -> None:
    api = fleet.start("api", "--port", "0")
    worker = fleet.start("worker", "--threads", "1")
    url = line_with(api, "listening on").split("listening on ")[1].split(",")[0]
    with httpx.Client(base_url=url, timeout=60) as client, ThreadPoolExecutor() as pool:
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").json()["code"] == "not-ready"
        line_with(worker, "ready after")
        began = time.monotonic()
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() - began < READY_WITHIN_S
            time.sleep(0.05)
        assert [model["name"] for model in client.get("/v1/models").json()["models"]] == [
            "good",
            "plain",
        ]
        running = pool.submit(client.post, "/v1/samples", json=work(64, 200))
        fleet.wait_until_claimed(1)
        worker.send_signal(signal.SIGTERM)
        assert all(image["nfe"] == 200 for image in running.result().json()["images"])
        assert worker.wait(30) == 0
        began = time.monotonic()
        while (refusal := client.post("/v1/samples", json=work(1, 1))).status_code == 200:
            assert time.monotonic() - began < READY_WITHIN_S
        assert (refusal.status_code, refusal.json()["code"]) == (503, "not-ready")
        assert int(refusal.headers["retry-after"]) >= 1
        api.send_signal(signal.SIGTERM)
    assert api.wait(30) == 0


def test_anothers_endless_script_ends_no_process(fleet: Fleet) -> None:
    api, worker = fleet.start("api", "--port", "0"), fleet.start("worker", "--threads", "1")
    url = line_with(api, "listening on").split("listening on ")[1].split(",")[0]
    line_with(api, "ready after")
    with httpx.Client(base_url=url, timeout=60) as client:
        assert client.post("/v1/samples", json=work(1, 5)).status_code == 200
        with fleet.server.busy():
            # All loops of both come to hear of it.
            for _ in range(3):
                refusal = client.post("/v1/samples", json=work(1, 5))
                assert (refusal.status_code, refusal.json()["code"]) == (503, "store-unavailable")
                time.sleep(1.0)
        assert client.post("/v1/samples", json=work(1, 5)).status_code == 200
    for process in (worker, api):
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_a_worker_out_of_time_hands_its_job_to_the_next(fleet: Fleet) -> None:
    api = fleet.start("api", "--port", "0")
    first = fleet.start("worker", "--threads", "1", "--drain-s", "0")
    url = line_with(api, "listening on").split("listening on ")[1].split(",")[0]
    line_with(api, "ready after")
    with httpx.Client(base_url=url, timeout=120) as client, ThreadPoolExecutor() as pool:
        running = pool.submit(client.post, "/v1/samples", json=work(64, 400))
        fleet.wait_until_claimed(1)
        first.send_signal(signal.SIGTERM)
        assert line_with(first, "handing back 1 unfinished jobs")
        assert first.wait(30) == 0
        fleet.start("worker", "--threads", "1")
        assert len(running.result().json()["images"]) == 64


def test_an_api_that_stops_answers_first_and_loses_no_job(fleet: Fleet) -> None:
    api, worker = fleet.start("api", "--port", "0"), fleet.start("worker", "--threads", "1")
    url = line_with(api, "listening on").split("listening on ")[1].split(",")[0]
    line_with(api, "ready after")
    with httpx.Client(base_url=url, timeout=120) as client, ThreadPoolExecutor() as pool:
        job = {"kind": "samples", "request": work(64, 150)}
        path = client.post("/v1/jobs", json=job).headers["location"]
        running = pool.submit(client.post, "/v1/samples", json=work(64, 150))
        fleet.wait_until_claimed(2)
        api.send_signal(signal.SIGTERM)
        while (ready := client.get("/readyz")).status_code == 200:
            time.sleep(0.01)
        assert ready.json()["code"] == "draining"
        for endpoint, body in (("/v1/samples", work(1, 1)), ("/v1/jobs", job)):
            refusal = client.post(endpoint, json=body)
            assert (refusal.status_code, refusal.json()["code"]) == (503, "draining")
        assert not running.done()
        assert running.result().status_code == 200
    assert api.wait(30) == 0
    next_api = fleet.start("api", "--port", "0")
    url = line_with(next_api, "listening on").split("listening on ")[1].split(",")[0]
    line_with(next_api, "ready after")
    with httpx.Client(base_url=url, timeout=120) as client:
        began = time.monotonic()
        while client.get(path).json()["status"] != "succeeded":
            assert time.monotonic() - began < READY_WITHIN_S
            time.sleep(0.05)
        assert len(client.get(f"{path}/result").json()["images"]) == 64
    assert worker.poll() is None


def test_an_api_out_of_time_sends_its_clients_home(fleet: Fleet) -> None:
    api = fleet.start("api", "--port", "0", "--drain-s", "0.5")
    fleet.start("worker", "--threads", "1")
    url = line_with(api, "listening on").split("listening on ")[1].split(",")[0]
    line_with(api, "ready after")
    with httpx.Client(base_url=url, timeout=120) as client, ThreadPoolExecutor() as pool:
        path = client.post(
            "/v1/jobs", json={"kind": "samples", "request": work(512, 1000)}
        ).headers["location"]
        waiting = pool.submit(client.post, "/v1/samples", json=work(512, 1000))
        watching = pool.submit(client.get, f"{path}/events")
        fleet.wait_until_claimed(2)
        # The watcher's stream has begun by then.
        time.sleep(0.5)
        api.send_signal(signal.SIGTERM)
        refusal = waiting.result()
        assert (refusal.status_code, refusal.json()["code"]) == (503, "draining")
        assert "event: progress" in watching.result().text
    assert api.wait(30) == 0


def test_each_half_tells_its_own_numbers(fleet: Fleet) -> None:
    api, worker = fleet.start("api", "--port", "0"), fleet.start("worker", "--threads", "1")
    url = line_with(api, "listening on").split("listening on ")[1].split(",")[0]
    told = line_with(worker, "metrics on").split("metrics on ")[1].split("/metrics")[0]
    assert httpx.get(f"{told}/livez").status_code == 200
    line_with(api, "ready after")
    line_with(worker, "ready after")
    assert httpx.get(f"{told}/readyz").status_code == 200
    httpx.post(f"{url}/v1/samples", json=work(4, 5), timeout=60).raise_for_status()
    began = time.monotonic()
    while 'mulan_model_workers{model="good"} 1.0' not in (ours := httpx.get(f"{url}/metrics").text):
        assert time.monotonic() - began < READY_WITHIN_S
        time.sleep(0.05)
    theirs = httpx.get(f"{told}/metrics").text
    for text in (ours, theirs):
        assert 'mulan_store_up{shard="0"} 1.0' in text
        assert "mulan_build_info{" in text
    assert (
        'mulan_http_requests_total{endpoint="/v1/samples",method="POST",outcome="ok"} 1.0' in ours
    )
    labels = 'kind="samples",model="good",outcome="succeeded",solver="ddpm"'
    assert f"mulan_jobs_total{{{labels}}} 1.0" in theirs
    assert 'mulan_model_load_seconds{model="good"}' in theirs
    assert "mulan_engine_" not in ours
    assert "mulan_http_" not in theirs


def test_a_request_is_followed_by_its_id_from_one_process_to_the_other(fleet: Fleet) -> None:
    api, worker = fleet.start("api", "--port", "0"), fleet.start("worker", "--threads", "1")
    url = line_with(api, "listening on").split("listening on ")[1].split(",")[0]
    line_with(api, "ready after")
    name = {"X-Request-Id": "from-far-away"}
    answer = httpx.post(f"{url}/v1/samples", json=work(4, 5), headers=name, timeout=60).json()
    entry, end = (json.loads(line_with(process, "from-far-away")) for process in (api, worker))
    for line in (entry, end):
        assert (line["request_id"], line["job_id"]) == ("from-far-away", answer["id"])
    assert entry["message"] == "POST /v1/samples 200"
    assert end["message"] == "job succeeded"


def test_what_a_model_learned_is_told_by_a_worker(fleet: Fleet) -> None:
    api = fleet.start("api", "--port", "0")
    fleet.start("worker", "--threads", "1")
    url = line_with(api, "listening on").split("listening on ")[1].split(",")[0]
    line_with(api, "ready after")
    network = load_checkpoint(fleet.zoo / "good", torch.device("cpu")).model
    latent = torch.zeros(1, network.config.latent_size)
    latent[:, : network.config.latent_k] = 1
    body = {"model": "good", "latents": [list(range(network.config.latent_k))], "points": 9}
    answer = httpx.post(f"{url}/v1/schedules", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    schedule = network.gamma(latent).double()
    times = torch.linspace(0, 1, 9, dtype=torch.float64)
    expected = [float(schedule.gamma(t[None]).mean()) for t in times]
    assert answer.json()["schedules"][0]["mean"] == pytest.approx(expected, abs=1e-5)


def test_a_worker_s_metrics_port_in_use_is_one_line(fleet: Fleet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = ["worker", "--metrics-port", port, "--store", fleet.server.url]
        result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in result.output
    assert len(result.output.splitlines()) == 1


def work(count: int, steps: int) -> dict[str, Any]:
    return {"model": "good", "count": count, "seed": 1, "solver": {"name": "ddpm", "steps": steps}}


def judge(url: str, model: str) -> httpx.Response:
    tokens = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4, 1) % 17
    kind = {"Content-Type": "application/x-npy"}
    path = f"{url}/v1/anomalies?model={model}&alpha=0.05"
    return httpx.post(path, content=encode_npy(tokens), headers=kind, timeout=60)


def test_one_process_over_redis_is_part_of_the_fleet(fleet: Fleet) -> None:
    whole = fleet.start("serve", "--port", "0", "--threads", "1")
    api = fleet.start("api", "--port", "0")
    urls = [
        line_with(process, "listening on").split("listening on ")[1].split(",")[0]
        for process in (whole, api)
    ]
    line_with(whole, "ready after")
    line_with(api, "ready after")
    answers = [httpx.post(f"{url}/v1/samples", json=work(4, 5), timeout=60).json() for url in urls]
    assert answers[0]["images"] == answers[1]["images"]
    # The second has loaded no checkpoint: it judges by the calibration that was announced.
    verdicts = [judge(url, "good").json() for url in urls]
    assert verdicts[0]["results"] == verdicts[1]["results"]
    assert [row["status"] for row in verdicts[1]["results"]] == ["ok", "ok"]
    assert verdicts[1]["settings"]["calibration_images"] == 40
    for url in urls:
        refusal = judge(url, "plain")
        assert (refusal.status_code, refusal.json()["code"]) == (422, "calibration-missing")
    for process in (whole, api):
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize("part", ["api", "worker"])
def test_half_a_service_has_no_store_in_memory(part: str) -> None:
    result = CliRunner().invoke(main, [part, "--port", "0"])
    assert result.exit_code == 1
    assert "set MULAN_STORE (--store) to redis://" in result.output
    assert len(result.output.splitlines()) == 1


def test_nothing_to_serve_is_one_line(tmp_path: Path) -> None:
    url = "redis://127.0.0.1:1/0"
    result = CliRunner().invoke(main, ["worker", "--models", str(tmp_path), "--store", url])
    assert result.exit_code == 1
    assert result.output == f"Error: no checkpoint in {tmp_path} can be served\n"


@pytest.mark.parametrize("part", ["api", "worker"])
@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("localhost:6379", 2),
        ("redis://user:secret@localhost:port/0", 2),
        ("redis://user:secret@localhost/0?secret=secret", 1),
    ],
)
def test_no_url_of_a_redis_is_one_line(part: str, url: str, code: int) -> None:
    result = CliRunner().invoke(main, [part, "--port", "0", "--store", url])
    assert result.exit_code == code
    assert "MULAN_STORE (--store)" in result.output
    assert "secret" not in result.output
    assert "localhost" not in result.output
    assert len(result.output.splitlines()) == 1


def test_a_stop_while_models_load_is_no_error(fleet: Fleet) -> None:
    worker = fleet.start("worker", "--threads", "1")
    line_with(worker, "loading models")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
