"""One more kind of work from URL to row; run by `test_kinds.py`, in a process that knows it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, NamedTuple

import httpx
import pytest
from api_double import manifest
from averages.task import AverageResult, AverageTask
from small_engine import CHECKPOINT, CONFIG, drive, job, small_served

from service.api.app import create_app
from service.api.context import Context
from service.api.gate import Gate
from service.catalogue import Catalogue
from service.engine.engine import Engine
from service.kinds import KINDS
from service.settings import Settings
from service.store.bounds import Bounds
from service.store.memory import MemoryStore
from service.store.quotas import Quotas
from service.store.wire import decode_job, decode_outcome, encode_job, encode_outcome
from service.telemetry.jobs import JobMetrics
from service.telemetry.observers import Observers
from service.telemetry.registry import new_registry
from service.worker import Worker

SERVED = small_served()
BODY = {"model": "small", "count": 3}


class RunningJob(NamedTuple):
    """A client of the service, and the worker's metrics."""

    client: httpx.AsyncClient
    jobs: JobMetrics
    registry: Any


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def running(anyio_backend: str) -> AsyncIterator[RunningJob]:
    settings, catalogue, gate = Settings(), Catalogue(), Gate()
    store, registry = MemoryStore(Bounds.of(settings)), new_registry()
    catalogue.add(manifest("small", CONFIG).model_copy(update={"sha256": CHECKPOINT}), "cpu/test")
    context = Context(settings, store, catalogue, gate, Quotas(settings))
    jobs = JobMetrics(registry, {CHECKPOINT: "small"})
    worker = Worker(store, {CHECKPOINT: SERVED}, observers=Observers(jobs))
    gate.open()
    await worker.start()
    transport = httpx.ASGITransport(create_app(context))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield RunningJob(client, jobs, registry)
    await worker.stop(0.0)


def expected() -> tuple[float, ...]:
    outcomes, _ = drive(Engine({CHECKPOINT: SERVED}), [job("a", AverageTask(3))])
    result = outcomes["a"]
    assert isinstance(result, AverageResult), result
    return result.averages


@pytest.mark.anyio
async def test_it_is_answered(running: RunningJob) -> None:
    response = await running.client.post("/v1/averages", json=BODY)
    assert response.status_code == 200, response.text
    assert response.json()["averages"] == list(expected())
    lines = await running.client.post("/v1/averages", json=BODY, headers={"Accept": "text/csv"})
    assert lines.headers["content-type"].startswith("text/csv")
    assert lines.headers["x-mulan-solver"].startswith('{"grid"')
    assert tuple(map(float, lines.text.splitlines())) == expected()


@pytest.mark.anyio
async def test_it_is_queued_and_its_result_asked_for(running: RunningJob) -> None:
    client = running.client
    queued = await client.post("/v1/jobs", json={"kind": "averages", "request": BODY})
    assert queued.status_code == 202, queued.text
    assert queued.json()["kind"] == "averages"
    path = queued.headers["location"]
    async with client.stream("GET", f"{path}/events") as events:
        told = [line async for line in events.aiter_lines() if line.startswith("event:")]
    assert told[-1] == "event: succeeded"
    assert (await client.get(f"{path}/result")).json()["averages"] == list(expected())
    (listed,) = (await client.get("/v1/jobs")).json()["jobs"]
    assert listed["kind"] == "averages"


@pytest.mark.anyio
async def test_its_faults_are_named(running: RunningJob) -> None:
    response = await running.client.post("/v1/averages", json=BODY | {"count": 9})
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == ["count"]


@pytest.mark.anyio
async def test_openapi_has_it(running: RunningJob) -> None:
    document = (await running.client.get("/openapi.json")).json()
    operation = document["paths"]["/v1/averages"]["post"]
    assert operation["summary"] == "Average images and wait"
    answers = operation["responses"]["200"]["content"]
    assert list(answers) == ["application/json", "text/csv"]
    schemas = document["components"]["schemas"]
    assert {"AverageRequest", "AverageResponse", "AverageJob"} <= schemas.keys()
    assert schemas["JobResponse"]["properties"]["kind"]["enum"] == list(KINDS)
    queued = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    assert {"$ref": "#/components/schemas/AverageJob"} in queued["schema"]["oneOf"]


def test_its_jobs_and_results_go_over_the_wire() -> None:
    one = replace(job("a", AverageTask(3)), cost=9)
    assert decode_job(encode_job(one)) == one
    result = AverageResult((1.5, 2.5), "cpu/test")
    assert decode_outcome(encode_outcome(result)) == result


@pytest.mark.anyio
async def test_its_metrics_are_counted(running: RunningJob) -> None:
    running.jobs.result_stored(job("a", AverageTask(2)), AverageResult((1.5, 2.5), "cpu/test"))
    labels = {"model": "small"}
    assert running.registry.get_sample_value("mulan_average_level_count", labels) == 2
    assert running.registry.get_sample_value("mulan_average_level_sum", labels) == 4
