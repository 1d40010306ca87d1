"""Models loaded and unloaded by requests, where that is turned on."""

from dataclasses import replace

import httpx
import pytest
from api_double import FakeControl, Service

from service.api.app import create_app
from service.errors import CheckpointRefused, NotEnoughMemory, ServiceError, UnknownModel
from service.settings import Settings

pytestmark = pytest.mark.anyio
LOAD, UNLOAD = (f"/v2/repository/models/tiny/{action}" for action in ("load", "unload"))


def error(answer: httpx.Response, status: int) -> str:
    """The one line of a refusal, in the protocol's own form."""
    assert (answer.status_code, answer.json().keys()) == (status, {"error"}), answer.text
    line: str = answer.json()["error"]
    assert len(line.splitlines()) == 1
    return line


@pytest.fixture
def control(service: Service) -> FakeControl:
    control = FakeControl()
    service.app = create_app(replace(service.context, control=control))
    return control


async def test_a_load_tells_what_the_name_stands_for(
    service: Service, control: FakeControl
) -> None:
    async with service.client() as client:
        answer = await client.post(LOAD)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "name": "tiny",
        "state": "READY",
        "checkpoint": "b" * 64,
        "checkpoint_before": "a" * 64,
        "workers": 2,
        "failures": ["w3: no such file"],
    }
    assert control.asked == [("load", "tiny")]


async def test_what_triton_s_clients_send_is_taken(service: Service, control: FakeControl) -> None:
    async with service.client() as client:
        assert (await client.post(LOAD, content=b"{}")).status_code == 200
        body = {"parameters": {"unload_dependents": False}}
        answer = await client.post(UNLOAD, json=body)
    assert (answer.status_code, answer.json()["state"]) == (200, "UNAVAILABLE")
    assert control.asked == [("load", "tiny"), ("unload", "tiny")]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"parameters": {"config": "{}"}}', "parameters.config"),
        (b'{"parameters": {"file:1/model.onnx": "AA=="}}', "models folder"),
        (b'{"path": "/etc"}', "path"),
        (b'{"parameters": 1}', "parameters"),
        (b"{", "JSON"),
    ],
)
async def test_a_request_brings_no_checkpoint_of_its_own(
    service: Service, control: FakeControl, body: bytes, words: str
) -> None:
    async with service.client() as client:
        assert words in error(await client.post(LOAD, content=body), 400)
    assert not control.asked


@pytest.mark.parametrize("name", ["Tiny", "-tiny", "a%20b", "%2e%2e", "x" * 65, "tiny%0a"])
async def test_a_name_that_no_checkpoint_can_have_is_refused(
    service: Service, control: FakeControl, name: str
) -> None:
    async with service.client() as client:
        answer = await client.post(f"/v2/repository/models/{name}/load")
    assert "name" in error(answer, 400)
    assert not control.asked


@pytest.mark.parametrize("name", ["..%2f..%2fetc", "a/b", "%2fetc%2fpasswd"])
async def test_a_path_leads_nowhere(service: Service, control: FakeControl, name: str) -> None:
    async with service.client() as client:
        error(await client.post(f"/v2/repository/models/{name}/load"), 404)
    assert not control.asked


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (UnknownModel("no checkpoint"), 404),
        (CheckpointRefused("weights.safetensors: damaged"), 400),
        (NotEnoughMemory("too large"), 503),
    ],
)
async def test_why_nothing_was_loaded_is_told(
    service: Service, control: FakeControl, failure: ServiceError, status: int
) -> None:
    control.failure = failure
    async with service.client() as client:
        answer = await client.post(LOAD)
    assert error(answer, status) == failure.detail
    assert ("retry-after" in answer.headers) == (status == 503)


@pytest.mark.parametrize("path", [LOAD, UNLOAD])
async def test_models_are_not_changed_unless_the_operator_wants_it(
    client: httpx.AsyncClient, path: str
) -> None:
    assert "MULAN_MODEL_CONTROL" in error(await client.post(path), 404)


@pytest.mark.parametrize("settings", [Settings(api_keys="right")])
async def test_a_key_is_needed_where_there_are_keys(service: Service, control: FakeControl) -> None:
    async with service.client() as client:
        error(await client.post(LOAD), 401)
        assert not control.asked
        right = {"Authorization": "Bearer right"}
        assert (await client.post(LOAD, headers=right)).status_code == 200


async def test_nothing_is_loaded_while_the_service_stops(
    service: Service, control: FakeControl
) -> None:
    service.gate.drain()
    async with service.client() as client:
        error(await client.post(LOAD), 503)
    assert not control.asked
