"""/metrics: what requests leave there, and how few series whatever clients send."""

import asyncio
import random
from collections.abc import Iterator
from itertools import product

import httpx
import pytest
from api_double import Service, assert_problem
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from service.api.app import create_monitor
from service.api.gate import Gate
from service.errors import StoreUnavailable
from service.settings import Settings
from service.telemetry.http import METHODS
from service.telemetry.registry import new_registry

pytestmark = pytest.mark.anyio

BODY = {"model": "tiny", "seed": 1}


def samples(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        yield from family.samples


async def value(client: httpx.AsyncClient, name: str, **labels: str) -> float:
    """The one sample of this name with at least these labels; 0 where there is none."""
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    found = [
        sample.value
        for sample in samples(response.text)
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) <= 1
    return found[0] if found else 0.0


async def outcome(client: httpx.AsyncClient, endpoint: str, outcome: str, method: str) -> float:
    labels = {"endpoint": endpoint, "outcome": outcome, "method": method}
    return await value(client, "mulan_http_requests_total", **labels)


async def test_a_request_is_counted_and_timed(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        assert (await client.post("/v1/samples", json=BODY)).status_code == 200
    assert await outcome(client, "/v1/samples", "ok", "POST") == 3
    assert await value(client, "mulan_http_request_seconds_count", endpoint="/v1/samples") == 3
    spent = await value(client, "mulan_http_request_seconds_sum", endpoint="/v1/samples")
    assert 0 < spent < 10
    assert await value(client, "mulan_http_requests_in_flight") == 1, "the one that asks"


async def test_paths_with_ids_are_one_endpoint(client: httpx.AsyncClient) -> None:
    body = {"kind": "samples", "request": BODY}
    for _ in range(3):
        path = (await client.post("/v1/jobs", json=body)).headers["location"]
        await client.get(path)
    assert await outcome(client, "/v1/jobs/{id}", "ok", "GET") == 3
    for name in ("tiny", "colour"):
        await client.get(f"/v1/models/{name}")
    assert await outcome(client, "/v1/models/{name}", "ok", "GET") == 2


async def test_a_problem_is_told_by_its_code(client: httpx.AsyncClient) -> None:
    await client.post("/v1/samples", json=BODY | {"model": "nobody"})
    await client.post("/v1/samples", content=b"{", headers={"Content-Type": "application/json"})
    await client.put("/v1/samples")
    await client.get("/nowhere")
    assert await outcome(client, "/v1/samples", "unknown-model", "POST") == 1
    assert await outcome(client, "/v1/samples", "malformed-body", "POST") == 1
    assert await outcome(client, "/v1/samples", "method-not-allowed", "PUT") == 1
    assert await outcome(client, "unmatched", "not-found", "GET") == 1


async def test_refusals_are_apart_from_failures(
    client: httpx.AsyncClient, service: Service
) -> None:
    await client.post("/v1/samples", json=BODY | {"model": "nobody"})
    await client.post("/v1/samples", json=BODY | {"solver": {"name": "ddpm", "steps": 4000}})
    await client.post("/v1/models")
    await client.get("/v1/jobs/nothing")
    service.worker.answer = lambda job: StoreUnavailable("while it ran")
    assert (await client.post("/v1/samples", json=BODY)).status_code == 503
    text = (await client.get("/metrics")).text
    codes = {
        sample.labels["code"]: sample.value
        for sample in samples(text)
        if sample.name == "mulan_rejections_total"
    }
    assert codes == {"unknown-model": 1, "invalid-request": 1}
    assert await outcome(client, "/v1/samples", "store-unavailable", "POST") == 1


async def test_a_defect_is_a_failed_computation(
    client: httpx.AsyncClient, service: Service
) -> None:
    def broken(cost: int) -> None:
        raise KeyError("a bug")

    service.store.check_capacity = broken  # type: ignore[method-assign, assignment]
    assert (await client.post("/v1/samples", json=BODY)).status_code == 500
    assert await outcome(client, "/v1/samples", "computation-failed", "POST") == 1
    assert await value(client, "mulan_http_requests_in_flight") == 1


async def test_who_leaves_is_neither_served_nor_failed(service: Service) -> None:
    service.worker.proceed.clear()
    left = asyncio.Event()

    request = httpx.Request("POST", "http://test/v1/samples", json=BODY)
    body = [request.read()]

    async def receive() -> dict[str, object]:
        if body:
            return {"type": "http.request", "body": body.pop(), "more_body": False}
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        pass

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/samples",
        "query_string": b"",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
    }
    asking = asyncio.create_task(service.app(scope, receive, send))  # type: ignore[arg-type]
    while not service.worker.jobs:
        await asyncio.sleep(0.001)
    left.set()
    await asking
    async with service.client() as client:
        assert await outcome(client, "/v1/samples", "client-left", "POST") == 1


async def test_a_stream_is_counted_and_not_timed(client: httpx.AsyncClient) -> None:
    body = {"kind": "samples", "request": BODY}
    path = (await client.post("/v1/jobs", json=body)).headers["location"]
    assert "succeeded" in (await client.get(f"{path}/events")).text
    endpoint = "/v1/jobs/{id}/events"
    assert await outcome(client, endpoint, "ok", "GET") == 1
    assert await value(client, "mulan_http_request_seconds_count", endpoint=endpoint) == 0


async def test_odd_traffic_makes_no_odd_series(client: httpx.AsyncClient) -> None:
    """Whatever a client writes, labels are of closed sets."""
    dice = random.Random(7)
    words: set[str] = set()
    methods = [*METHODS, "BREW", "X" * 100]
    paths = ("/{}", "/v1/{}", "/v1/jobs/{}", "/v1/models/{}", "/v1/samples")

    async def series() -> list[Sample]:
        """After each path by each method, with and without sense, in words never used before."""
        for method, path, sense in product(methods, paths, (True, False)):
            word = f"{dice.getrandbits(64):x}"
            words.add(word)
            body = BODY if sense else {"model": word, "solver": {"name": word}}
            headers = {"X-Request-Id": word, "Idempotency-Key": word, "User-Agent": word}
            await client.request(method, path.format(word), json=body, headers=headers)
        return list(samples((await client.get("/metrics")).text))

    await client.get("/metrics")
    first, second = await series(), await series()
    assert len(first) == len(second) < 400
    labels = {label for sample in second for label in sample.labels.values()}
    assert not labels & words
    requests = [one.labels for one in second if one.name == "mulan_http_requests_total"]
    assert {one["method"] for one in requests} == {*METHODS, "other"}
    assert {one["endpoint"] for one in requests} == {
        *("/v1/samples", "/v1/jobs/{id}", "/v1/models/{name}", "/metrics", "unmatched"),
    }


async def test_two_applications_share_no_number(client: httpx.AsyncClient) -> None:
    await client.post("/v1/samples", json=BODY)
    other = Service(Settings())
    async with other.client() as asking:
        assert await outcome(asking, "/v1/samples", "ok", "POST") == 0
    assert await outcome(client, "/v1/samples", "ok", "POST") == 1


async def test_the_queue_is_there_before_anything_is_known_of_it(client: httpx.AsyncClient) -> None:
    text = (await client.get("/metrics")).text
    for line in (
        'mulan_queue_jobs{state="queued"} 0.0',
        'mulan_queue_jobs{state="running"} 0.0',
        "mulan_queue_cost_row_evaluations 0.0",
        "mulan_queue_drain_row_evaluations_per_second 0.0",
        "mulan_dead_letters 0.0",
        "mulan_build_info{",
        "process_resident_memory_bytes",
    ):
        assert line in text
    assert "_created" not in text


async def test_a_model_whose_workers_are_gone_stays_at_nought(
    client: httpx.AsyncClient, service: Service
) -> None:
    service.context.metrics.queue.update_workers({"tiny": 2, "colour": 1})
    service.context.metrics.queue.update_workers({"colour": 1})
    assert await value(client, "mulan_model_workers", model="tiny") == 0
    assert 'mulan_model_workers{model="tiny"} 0.0' in (await client.get("/metrics")).text
    assert await value(client, "mulan_model_workers", model="colour") == 1


class TestWithKeys:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings.model_validate({"api_keys": "alpha"})

    async def test_metrics_are_open(self, client: httpx.AsyncClient) -> None:
        assert (await client.get("/metrics")).status_code == 200

    async def test_a_refused_key_has_its_endpoint(self, client: httpx.AsyncClient) -> None:
        assert (await client.post("/v1/samples", json=BODY)).status_code == 401
        assert await outcome(client, "/v1/samples", "unauthorized", "POST") == 1
        assert await value(client, "mulan_rejections_total", code="unauthorized") == 1


async def test_a_worker_answers_whether_it_works_and_its_numbers() -> None:
    settings = Settings.model_validate({"api_keys": "alpha", "private_metrics": True})
    gate, registry = Gate(), new_registry()
    transport = httpx.ASGITransport(create_monitor(settings, gate, registry))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as asking:
        assert (await asking.get("/livez")).status_code == 200
        assert_problem(await asking.get("/readyz"), 503, "not-ready")
        gate.open()
        assert (await asking.get("/readyz")).status_code == 200
        gate.drain()
        assert_problem(await asking.get("/readyz"), 503, "draining")
        assert_problem(await asking.get("/metrics"), 401, "unauthorized")
        metrics = await asking.get("/metrics", headers={"Authorization": "Bearer alpha"})
        assert "mulan_build_info{" in metrics.text
        assert_problem(await asking.get("/v1/models"), 404, "not-found")


class TestPrivate:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings.model_validate({"api_keys": "alpha", "private_metrics": True})

    async def test_metrics_ask_for_a_key(self, client: httpx.AsyncClient) -> None:
        assert_problem(await client.get("/metrics"), 401, "unauthorized")
        headers = {"Authorization": "Bearer alpha"}
        assert (await client.get("/metrics", headers=headers)).status_code == 200
