"""Spans from a request over the queue to its worker."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from secret_words import PASSWORDS, seen
from small_engine import CHECKPOINT, CONFIG

from models.schema.manifest import Manifest
from service.api.app import create_app
from service.api.context import Context
from service.api.gate import Gate
from service.catalogue import Catalogue
from service.errors import ServeError
from service.rows import Served
from service.settings import Settings
from service.store.bounds import Bounds
from service.store.memory import MemoryStore
from service.store.quotas import Quotas
from service.store.wire import decode_job, encode_job
from service.telemetry.observers import Observers
from service.telemetry.opening import ENVIRONMENT, open_tracing
from service.telemetry.spans import Spans
from service.telemetry.tracing import Tracing
from service.worker import Worker

pytestmark = pytest.mark.anyio

THEIRS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BODY = {"model": "small", "count": 2, "seed": 1, "solver": {"name": "ddpm", "steps": 3}}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def spans_to(exporter: InMemorySpanExporter) -> Spans:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Spans(provider)


class Wired(MemoryStore):
    """Jobs go through the wire's bytes, as in Redis."""

    async def put(self, job, key=None, attended=False):  # type: ignore[no-untyped-def]
        return await super().put(decode_job(encode_job(job)), key, attended)


@pytest.fixture
async def client(
    models: Mapping[str, Served], exporter: InMemorySpanExporter
) -> AsyncIterator[httpx.AsyncClient]:
    """An API and a worker with tracing of their own each, around one store."""
    settings = Settings()
    store = Wired(Bounds.of(settings))
    catalogue, gate = Catalogue(), Gate()
    fields = {"name": "small", "config": CONFIG.model_dump(), "parameters": 1}
    catalogue.add(Manifest.model_validate({**fields, "sha256": CHECKPOINT}), "cpu/test")
    gate.open()
    ours, theirs = spans_to(exporter), spans_to(exporter)
    context = Context(settings, store, catalogue, gate, Quotas(settings), tracing=ours)
    worker = Worker(store, models, observers=Observers(jobs=theirs.jobs))
    await worker.start()
    transport = httpx.ASGITransport(create_app(context), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client
    await worker.stop(10.0)
    ours.close()


async def finished(exporter: InMemorySpanExporter, count: int) -> dict[str, ReadableSpan]:
    async with asyncio.timeout(30):
        while len(exporter.get_finished_spans()) < count:
            await asyncio.sleep(0.01)
    return {span.name: span for span in exporter.get_finished_spans()}


async def test_a_request_s_trace_goes_over_the_queue(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    answer = await client.post("/v1/samples", json=BODY, headers={"X-Request-Id": "mine"})
    spans = await finished(exporter, 3)
    assert spans.keys() == {"POST /v1/samples", "queue", "run"}
    request, queue, run = (spans[name] for name in ("POST /v1/samples", "queue", "run"))
    assert {span.context.trace_id for span in spans.values()} == {request.context.trace_id}
    for child in (queue, run):
        assert child.parent is not None
        assert child.parent.span_id == request.context.span_id
        assert child.attributes is not None
        assert child.attributes["mulan.request.id"] == "mine"
        assert child.attributes["mulan.job.id"] == answer.json()["id"]
    assert request.kind is SpanKind.SERVER
    assert request.attributes is not None
    assert dict(request.attributes) == {
        "http.request.method": "POST",
        "http.route": "/v1/samples",
        "http.response.status_code": 200,
        "mulan.outcome": "ok",
        "mulan.request.id": "mine",
        "mulan.job.id": answer.json()["id"],
    }
    assert run.attributes is not None
    assert run.attributes["mulan.outcome"] == "succeeded"
    times = [request.start_time, queue.start_time, queue.end_time, run.start_time, run.end_time]
    assert all(time is not None for time in times)
    assert times == sorted(times, key=lambda time: time or 0)


async def test_a_client_s_trace_goes_on(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    await client.get("/v1/models", headers={"traceparent": THEIRS})
    (request,) = (await finished(exporter, 1)).values()
    assert f"{request.context.trace_id:032x}" == THEIRS.split("-")[1]
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == THEIRS.split("-")[2]


async def test_probes_and_scrapes_leave_no_span(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/v1/models"):
        assert (await client.get(path)).status_code == 200
    assert [span.name for span in exporter.get_finished_spans()] == ["GET /v1/models"]


async def test_refusals_are_no_errors_and_failures_are(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    await client.get("/nowhere", headers={"traceparent": "nonsense"})
    late = BODY | {"count": 64, "solver": {"name": "ddpm", "steps": 1000}, "timeout_s": 0.2}
    assert (await client.post("/v1/samples", json=late)).status_code == 504
    spans = await finished(exporter, 4)
    assert spans["GET unmatched"].status.status_code is StatusCode.UNSET
    assert spans["POST /v1/samples"].status.status_code is StatusCode.ERROR


async def test_a_cancelled_job_s_span_ends(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    long = BODY | {"count": 64, "solver": {"name": "ddpm", "steps": 1000}}
    path = (await client.post("/v1/jobs", json={"kind": "samples", "request": long})).headers[
        "location"
    ]
    await finished(exporter, 2)
    assert (await client.delete(path)).status_code == 204
    spans = await finished(exporter, 4)
    assert spans["run"].attributes is not None
    assert spans["run"].attributes["mulan.outcome"] == "cancelled"
    assert spans["run"].status.status_code is StatusCode.UNSET


def test_without_a_collector_nothing_is_made_and_nothing_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    with open_tracing("", "api") as none:
        assert type(none) is Tracing
        assert none.request({"traceparent": THEIRS}).traceparent == ""
    code = (
        "import sys, service.serve, service.serve_api, service.serve_worker\n"
        "from service.telemetry.opening import open_tracing\n"
        "with open_tracing('', 'api'): pass\n"
        # FastAPI and redis-py look for OpenTelemetry's API themselves.
        "heavy = ('opentelemetry.exporter', 'google.protobuf', 'service.telemetry.spans')\n"
        "sys.exit(any(name.startswith(heavy) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_the_extra_it_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "service.telemetry.spans", None)
    with pytest.raises(ServeError, match="tracing"):
        open_tracing("http://x", "api").__enter__()


class Collector(HTTPServer):
    """Takes what is posted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.taken: list[tuple[str, bytes]] = []


class _Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("variable", ENVIRONMENT)
def test_nothing_of_a_collector_s_password_is_told(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    variable: str,
    password: str,
) -> None:
    """The port takes no connection, so that the library tells what went wrong."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.01")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"key {password},no-key")
    monkeypatch.setenv(variable, f"http://user:{password}@127.0.0.1:1/otlp")
    try:
        with open_tracing("", "api") as spans:
            spans.request({}).end("GET /v1/jobs", {}, failed=False)
    except ServeError as refusal:
        told = str(refusal)
        reason = refusal.__suppress_context__ and told.startswith(variable)
    else:
        told = caplog.text
        reason = "Failed to export" in told and "is no name=value pair" in told
    assert reason
    assert not seen(password, told)


@pytest.mark.parametrize(
    ("variable", "path"),
    [
        (None, ""),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/v1/traces"),
    ],
)
def test_spans_reach_a_collector(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, path: str
) -> None:
    collector = Collector()
    url = f"http://127.0.0.1:{collector.server_port}"
    if variable:
        monkeypatch.setenv(variable, url + path)
    thread = threading.Thread(target=collector.serve_forever)
    thread.start()
    try:
        with open_tracing("" if variable else url, "api") as spans:
            spans.request({}).end("GET /v1/jobs", {}, failed=False)
    finally:
        collector.shutdown()
        thread.join()
        collector.server_close()
    ((to, body),) = collector.taken
    assert to == "/v1/traces"
    assert b"GET /v1/jobs" in body
    assert b"mulan-api" in body
