"""`callback_url` on /v1/jobs: which are taken, and what they change."""

import base64

import anyio
import httpx
import pytest
from api_double import Service, assert_problem

from service.settings import Settings

pytestmark = pytest.mark.anyio

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
BODY = {"kind": "samples", "request": {"model": "tiny", "seed": 1}}
URL = "https://hooks.example.com/done"


@pytest.fixture
def settings() -> Settings:
    return Settings(callback_hosts=("hooks.example.com",), callback_secret=SECRET)


async def test_the_end_of_a_job_is_owed_to_its_url(
    client: httpx.AsyncClient, service: Service
) -> None:
    queued = await client.post("/v1/jobs", json=BODY | {"callback_url": URL})
    assert queued.status_code == 202
    with anyio.fail_after(5):
        while not (call := await service.store.callbacks.take(60)):
            await anyio.sleep(0.01)
    assert (call.job.id, call.url) == (queued.json()["id"], URL)
    assert queued.json().keys() == (await client.post("/v1/jobs", json=BODY)).json().keys()


async def test_a_cancelled_job_is_owed_too(client: httpx.AsyncClient, service: Service) -> None:
    service.worker.proceed.clear()
    queued = await client.post("/v1/jobs", json=BODY | {"callback_url": URL})
    await client.delete(queued.headers["location"])
    call = await service.store.callbacks.take(60)
    assert call is not None
    assert call.job.status == "cancelled"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost:8000/",
        "http://[::1]/",
        "https://example.com/",
        "ftp://hooks.example.com/",
        "https://user:hunter2@hooks.example.com/",
        "hooks.example.com",
        "",
    ],
)
async def test_other_urls_are_refused_before_work(
    client: httpx.AsyncClient, service: Service, url: str
) -> None:
    response = await client.post("/v1/jobs", json=BODY | {"callback_url": url})
    body = assert_problem(response, 422, "invalid-request")
    assert body["errors"][0]["field"] == "callback_url"  # type: ignore[index]
    assert "hunter2" not in response.text
    assert service.worker.jobs == []


async def test_a_url_that_is_no_text_or_too_long(client: httpx.AsyncClient) -> None:
    for url in (7, "https://hooks.example.com/" + "a" * 2048):
        response = await client.post("/v1/jobs", json=BODY | {"callback_url": url})
        assert_problem(response, 422, "invalid-request")


async def test_a_waiting_endpoint_takes_none(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/samples", json={"model": "tiny", "callback_url": URL})
    assert_problem(response, 422, "invalid-request")


async def test_a_key_is_for_one_url(client: httpx.AsyncClient, service: Service) -> None:
    headers = {"Idempotency-Key": "k"}
    one = await client.post("/v1/jobs", json=BODY | {"callback_url": URL}, headers=headers)
    same = await client.post("/v1/jobs", json=BODY | {"callback_url": URL}, headers=headers)
    assert one.json()["id"] == same.json()["id"]
    for body in (BODY, BODY | {"callback_url": URL + "/else"}):
        other = await client.post("/v1/jobs", json=body, headers=headers)
        assert_problem(other, 422, "idempotency-mismatch")


class TestWithoutHosts:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings()

    async def test_nobody_is_called(self, client: httpx.AsyncClient) -> None:
        response = await client.post("/v1/jobs", json=BODY | {"callback_url": URL})
        problem = assert_problem(response, 422, "invalid-request")
        assert "MULAN_CALLBACK_HOSTS" in str(problem["detail"])
        queued = await client.post("/v1/jobs", json=BODY | {"callback_url": None})
        assert queued.status_code == 202
