"""A model with classes in a fleet: labels go through Redis to a worker, and answers back."""

import base64
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fleet_processes import Fleet, line_with
from redis_server import RedisServer
from tiny_classes import CLASSES, write_checkpoint

from models.files.pictures import encode_png

# The import of diffusers alone takes seconds.
READY_WITHIN_S = 240.0
KEY = {"Idempotency-Key": "once"}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    write_checkpoint(tmp_path / "zoo" / "classy")
    server = RedisServer(tmp_path)
    server.start()
    with ExitStack() as stack:
        stack.callback(server.stop)
        fleet = Fleet(server, tmp_path / "zoo", stack)
        api = fleet.start("api", "--port", "0")
        fleet.start("worker", "--threads", "1")
        url = line_with(api, "listening on").split("listening on ")[1].split(",")[0]
        client = stack.enter_context(httpx.Client(base_url=url, timeout=120))
        began = time.monotonic()
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() - began < READY_WITHIN_S
            time.sleep(0.1)
        yield client


def answered(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


def test_labels_reach_the_worker(client: httpx.Client) -> None:
    assert answered(client.get("/v1/models/classy"))["classes"] == CLASSES
    body: Any = {"model": "classy", "count": 3, "seed": 7, "solver": {"name": "ddim", "steps": 3}}
    free = answered(client.post("/v1/samples", json=body))["images"]
    drawn = [image["class_label"] for image in free]
    named = answered(client.post("/v1/samples", json=body | {"class_label": drawn}))["images"]
    assert named == free
    other = [(label + 1) % CLASSES for label in drawn]
    changed = client.post("/v1/samples", json=body | {"class_label": other}, headers=KEY)
    images = answered(changed)["images"]
    assert [image["class_label"] for image in images] == other
    assert all(one["png"] != image["png"] for one, image in zip(free, images, strict=True))
    refusal = client.post("/v1/samples", json=body | {"class_label": drawn}, headers=KEY)
    assert (refusal.status_code, refusal.json()["code"]) == (422, "idempotency-mismatch")
    request = body | {"class_label": other}
    queued = client.post("/v1/jobs", json={"kind": "samples", "request": request})
    path = queued.headers["location"]
    while client.get(path).json()["status"] in ("queued", "running"):
        time.sleep(0.05)
    assert answered(client.get(f"{path}/result"))["images"] == images


def test_scores_of_a_class_and_of_all(client: httpx.Client) -> None:
    dice = np.random.default_rng(0)
    pngs = [encode_png(dice.integers(0, 256, (8, 8, 1), np.uint8), 256) for _ in range(2)]
    body: Any = {"model": "classy", "images": [base64.b64encode(one).decode() for one in pngs]}
    body |= {"probes": 1, "tolerance_nats": 10}
    whole = answered(client.post("/v1/likelihoods", json=body))["results"]
    each = answered(client.post("/v1/likelihoods", json=body | {"class_label": [4, 1]}))["results"]
    assert [one["class_label"] for one in each] == [4, 1]
    for score, of_class, label in zip(whole, each, (4, 1), strict=True):
        assert "class_label" not in score
        assert score["log_px_given_class"][label] == of_class["log_px_lower_bound"]
        assert max(score["log_px_given_class"]) >= score["log_px_lower_bound"]
        assert of_class["log_px_given_z"] == of_class["log_px_lower_bound"]
