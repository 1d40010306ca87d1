"""What the log says of requests, and what it never says."""

import base64
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from api_double import Service, npy, png

from service.settings import Settings
from service.telemetry import logs

pytestmark = pytest.mark.anyio

KEY = "sesame-open-the-door"
BODY = {"model": "tiny", "seed": 1}


@pytest.fixture
def settings() -> Settings:
    return Settings.model_validate({"api_keys": KEY})


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Everything that anybody logs, at the finest level, as a process would write it."""
    root, file = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers, root.level
    root.handlers = []
    logs.configure("debug", "json")
    # The client of these tests, which is no part of a service, tells of every URL.
    monkeypatch.setattr(logging.getLogger("httpx"), "disabled", True)
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(file)
    yield file
    root.handlers = handlers
    root.setLevel(level)


def records(written: io.StringIO, logger: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in written.getvalue().splitlines()]
    return [record for record in found if record["logger"] == logger]


async def test_a_request_is_a_line_with_its_ids(service: Service, written: io.StringIO) -> None:
    async with service.client(authorization=f"Bearer {KEY}") as client:
        answer = await client.post("/v1/samples", json=BODY, headers={"X-Request-Id": "mine"})
    (line,) = records(written, "mulan.access")
    assert line["message"] == "POST /v1/samples 200"
    assert (line["request_id"], line["job_id"]) == ("mine", answer.json()["id"])
    assert (line["level"], line["outcome"], line["status"]) == ("INFO", "ok", 200)
    assert 0 < line["seconds"] < 10
    assert line["time"].endswith("+00:00")
    assert service.worker.jobs[0].request_id == "mine"


async def test_what_is_logged_on_the_way_has_the_request_s_id(
    service: Service, written: io.StringIO
) -> None:
    def broken(owner: str, cost: int) -> None:
        logging.getLogger("somewhere").warning("on the way")
        raise KeyError("a bug")

    service.store.check_capacity = broken  # type: ignore[method-assign, assignment]
    async with service.client(authorization=f"Bearer {KEY}") as client:
        for name in ("first", "second"):
            await client.post("/v1/samples", json=BODY, headers={"X-Request-Id": name})
    logging.getLogger("somewhere").warning("later")
    lines = records(written, "somewhere")
    assert [line.get("request_id") for line in lines] == ["first", "second", None]
    failures = records(written, "mulan.api")
    assert [failure["request_id"] for failure in failures] == ["first", "second"]
    assert "a bug" in failures[0]["exception"]
    assert [line["outcome"] for line in records(written, "mulan.access")] == [
        "computation-failed",
        "computation-failed",
    ]


async def test_probes_and_scrapes_are_not_for_everyday(
    service: Service, written: io.StringIO
) -> None:
    async with service.client() as client:
        for path in ("/livez", "/readyz", "/metrics", "/v1/jobs"):
            await client.get(path)
    levels = {line["endpoint"]: line["level"] for line in records(written, "mulan.access")}
    quiet = dict.fromkeys(("/livez", "/readyz", "/metrics"), "DEBUG")
    assert levels == {**quiet, "/v1/jobs": "INFO"}


async def test_neither_keys_nor_images_are_logged(service: Service, written: io.StringIO) -> None:
    tokens = np.random.default_rng(0).integers(0, 17, (2, 4, 3, 1), dtype=np.uint8)
    pixels = np.round(tokens[0, ..., 0] / 16 * 255).astype(np.uint8)
    image = base64.b64encode(png(pixels)).decode()
    as_npy = {"Content-Type": "application/x-npy"}
    bodies: list[dict[str, Any]] = [
        {"json": {"model": "tiny", "images": [image]}},
        {"json": {"model": "tiny", "images": [image[:-8]]}},
        {"json": {"model": "tiny", "images": [image], "seed": image}},
        {"content": npy(tokens), "headers": as_npy, "params": {"model": "tiny"}},
        {"content": npy(tokens)[:-3], "headers": as_npy, "params": {"model": "tiny"}},
        {"files": [("images", png(pixels))], "data": {"model": "tiny"}},
    ]
    async with service.client(authorization=f"Bearer {KEY}") as client:
        for path in ("/v1/likelihoods", "/v1/anomalies"):
            for body in bodies:
                await client.post(path, **body)
        await client.get(f"/v1/jobs?cursor={KEY}")
        await client.get("/v1/models", headers={"Authorization": f"Bearer {KEY}-wrong"})
    text = written.getvalue()
    answers = [record["outcome"] for record in records(written, "mulan.access")]
    assert answers.count("ok") == 2 * 3
    assert len(answers) == 14
    for secret in (KEY, image[40:80], repr(tokens.tobytes())[2:22], repr(png(pixels))[60:80]):
        assert len(secret) >= 16
        assert secret not in text


@pytest.mark.parametrize(("chosen", "is_json"), [("json", True), ("text", False), ("auto", True)])
def test_the_form_is_chosen(
    capsys: pytest.CaptureFixture[str], chosen: logs.Format, is_json: bool
) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    root.handlers = []
    try:
        logs.configure("info", chosen)
        with logs.of_request("mine"):
            logging.getLogger("a").info("hello", extra={"job_id": "j"})
        logging.getLogger("a").debug("not to be seen")
    finally:
        root.handlers = handlers
        root.setLevel(level)
    (line,) = capsys.readouterr().err.splitlines()
    if is_json:
        said = json.loads(line)
        assert (said["message"], said["request_id"], said["job_id"]) == ("hello", "mine", "j")
    else:
        assert line.endswith("INFO a: hello request_id=mine job_id=j")


async def test_a_path_cannot_forge_a_line(service: Service, written: io.StringIO) -> None:
    client = service.client(authorization=f"Bearer {KEY}")
    for path in ("/nowhere", "/v1/jobs/it"):
        await client.get(f"{path}%0aINFO%20a:%20forged")
    first, second = records(written, "mulan.access")
    assert first["message"] == "GET unmatched 404"
    assert first["path"] == "/nowhere%0AINFO%20a%3A%20forged"
    assert "job_id" not in second
