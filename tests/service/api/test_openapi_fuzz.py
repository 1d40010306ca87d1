"""Every endpoint of the OpenAPI document, asked for whatever the document allows and some more."""

import asyncio
import base64
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import httpx
import numpy as np
import pytest
import requests
import schemathesis
from api_double import FakeControl, Service, png
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core.transport import Response
from schemathesis.specs.openapi import checks

from service.api.app import create_app
from service.http.server import Server
from service.settings import Settings

EXAMPLES = 60
PICTURE = png(np.zeros((4, 3), np.uint8))
IMAGE = base64.b64encode(PICTURE).decode()
CHECKED = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
OPERATIONS = [
    (method, path)
    for path, operations in Service(Settings()).app.openapi()["paths"].items()
    for method in operations
]


@contextlib.asynccontextmanager
async def serving(listener: socket.socket) -> AsyncIterator[Server]:
    """An API with a worker that computes nothing."""
    settings = Settings(default_timeout_s=0.5, max_timeout_s=0.5)
    service = Service(settings)
    service.app = create_app(replace(service.context, control=FakeControl()))
    service.gate.open()
    server = Server(service.app, settings, service.gate)
    working = asyncio.create_task(service.worker.run())
    answering = asyncio.create_task(server.serve([listener]))
    yield server
    await answering
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    begun = threading.Event()
    servers: list[Server] = []

    async def run() -> None:
        async with serving(listener) as server:
            servers.append(server)
            begun.set()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert begun.wait(10)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    servers[0].should_exit = True
    thread.join(30)
    listener.close()
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def document(url: str) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{url}/openapi.json")


def real(case: schemathesis.Case, job_id: str, plain: bool) -> None:
    """Let a request name what there is: a model, an image, a job; a `plain` one nothing else."""
    if "id" in case.path_parameters:
        case.path_parameters["id"] = job_id
    if "name" in case.path_parameters:
        case.path_parameters["name"] = "tiny"
    if "version" in case.path_parameters:
        case.path_parameters["version"] = "1"
    # The other media types of images are for models with preprocessing, of which there is none.
    if str(case.media_type).startswith("image/"):
        case.media_type = "image/png"
        case.headers["Content-Type"] = "image/png"
        case.body = PICTURE
        case.query = {"model": "tiny"} if plain else {**case.query, "model": "tiny"}
    if case.path.endswith("/infer"):
        if plain:
            case.body = b"{}" if case.media_type == "application/octet-stream" else {}
            case.headers.pop("Inference-Header-Content-Length", None)
        return
    body = case.body.get("request", case.body) if isinstance(case.body, dict) else None
    if isinstance(body, dict):
        if plain:
            for name in body.keys() - {"images"}:
                del body[name]
        body["model"] = "tiny"
        if "images" in body and case.media_type == "application/json":
            body["images"] = [IMAGE]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_as_documented(
    url: str, document: schemathesis.BaseSchema, method: str, path: str
) -> None:
    seen: set[int] = set()
    queued = httpx.post(f"{url}/v1/jobs", json={"kind": "samples", "request": {"model": "tiny"}})
    job_id = queued.json()["id"]

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=document[path][method].as_strategy(), named=st.booleans(), plain=st.booleans())
    def ask(case: schemathesis.Case, named: bool, plain: bool) -> None:
        if named:
            real(case, job_id, plain)
        response: Response = case.call()
        seen.add(response.status_code)
        # A timeout may be any number above 0.
        assert response.status_code < 500 or response.status_code == 504, response.text
        case.validate_response(response, checks=CHECKED)

    ask()
    assert seen & {200, 202, 204}, seen


@pytest.mark.parametrize("path", [path for method, path in OPERATIONS if method == "get"])
def test_head_is_answered_as_get_is(url: str, document: schemathesis.BaseSchema, path: str) -> None:
    queued = httpx.post(f"{url}/v1/jobs", json={"kind": "samples", "request": {"model": "tiny"}})
    job_id = queued.json()["id"]

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=document[path]["get"].as_strategy(), named=st.booleans())
    def ask(case: schemathesis.Case, named: bool) -> None:
        if named:
            real(case, job_id, plain=False)
        asked = case.as_transport_kwargs() | {"method": "HEAD", "allow_redirects": False}
        response = requests.request(**asked, timeout=10)
        assert response.content == b""
        if path.endswith("/events"):
            assert response.status_code == 405
        else:
            answer = requests.request(**asked | {"method": "GET"}, timeout=10)
            assert response.status_code == answer.status_code

    ask()
