"""HEAD is answered on every GET route but streams of events: as GET, without the body."""

import anyio
import httpx
import pytest
from api_double import Service, assert_problem
from prometheus_client import CollectorRegistry

from service.api.app import create_monitor
from service.settings import Settings

pytestmark = pytest.mark.anyio

PATHS = ["/livez", "/readyz", "/v1/models", "/v1/models/tiny", "/v1/jobs", "/openapi.json", "/docs"]
PATHS += [
    "/",
    "/web/app.js",
    "/v1/jobs?limit=1",
    "/v1/jobs?limit=x",
    "/v1/models/none",
    "/v1/jobs/none",
]
PATHS += ["/v1/jobs/none/result"]


def headers_of(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name != "x-request-id"}


@pytest.mark.parametrize("path", PATHS)
async def test_as_get_without_the_body(client: httpx.AsyncClient, path: str) -> None:
    head, get = await client.head(path), await client.get(path)
    assert head.status_code == get.status_code
    if "request_id" in get.text:  # Each request has its own.
        assert head.headers["content-type"] == get.headers["content-type"]
    else:
        assert headers_of(head) == headers_of(get)
    assert head.content == b""
    assert get.content


async def test_of_a_result(client: httpx.AsyncClient) -> None:
    queued = await client.post("/v1/jobs", json={"kind": "samples", "request": {"model": "tiny"}})
    where = queued.headers["location"]
    while (await client.get(where)).json()["status"] != "succeeded":
        await anyio.sleep(0.01)
    for accept in ("application/json", "image/png", "application/x-npy"):
        head = await client.head(f"{where}/result", headers={"Accept": accept})
        get = await client.get(f"{where}/result", headers={"Accept": accept})
        assert (head.status_code, head.content) == (200, b"")
        assert headers_of(head) == headers_of(get)


async def test_a_stream_of_events_is_no_answer_to_it(
    client: httpx.AsyncClient, service: Service
) -> None:
    service.worker.proceed.clear()
    queued = await client.post("/v1/jobs", json={"kind": "samples", "request": {"model": "tiny"}})
    response = await client.head(f"{queued.headers['location']}/events")
    assert (response.status_code, response.headers["allow"]) == (405, "GET")


async def test_it_does_no_work(client: httpx.AsyncClient, service: Service) -> None:
    for path in ("/v1/samples", "/v1/likelihoods", "/v1/anomalies"):
        response = await client.head(path)
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert not service.worker.jobs


async def test_who_is_refused_is_told_what_would_not_be(client: httpx.AsyncClient) -> None:
    for path, methods in {
        "/livez": "GET, HEAD",
        "/v1/jobs": "GET, HEAD, POST",
        "/v1/jobs/x": "DELETE, GET, HEAD",
        "/v1/jobs/x/events": "GET",
        "/v1/samples": "POST",
    }.items():
        response = await client.put(path)
        problem = assert_problem(response, 405, "method-not-allowed")
        assert response.headers["allow"] == methods
        assert methods in str(problem["detail"])


async def test_it_is_counted_by_its_route(client: httpx.AsyncClient) -> None:
    await client.head("/v1/models/tiny")
    text = (await client.get("/metrics")).text
    labels = 'endpoint="/v1/models/{name}",method="HEAD",outcome="ok"'
    assert f"mulan_http_requests_total{{{labels}}} 1.0" in text


async def test_a_worker_answers_it_too(service: Service) -> None:
    monitor = create_monitor(Settings(), service.gate, CollectorRegistry())
    transport = httpx.ASGITransport(monitor)
    async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
        for path in ("/livez", "/readyz", "/metrics"):
            assert (await client.head(path)).status_code == 200
        assert_problem(await client.post("/livez"), 405, "method-not-allowed")


class TestKeys:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings.model_validate({"api_keys": "alpha"})

    async def test_are_asked_for(self, client: httpx.AsyncClient) -> None:
        assert (await client.head("/v1/models")).status_code == 401
        headers = {"Authorization": "Bearer alpha"}
        assert (await client.head("/v1/models", headers=headers)).status_code == 200
