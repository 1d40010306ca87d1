"""What holds for every path: keys, ids, sizes, unknown paths, the models, the description."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from api_double import CONFIG, EXECUTION, Service, assert_problem

from service.kinds.samples.task import SampleResult
from service.settings import Settings

pytestmark = pytest.mark.anyio


async def test_models_are_described(client: httpx.AsyncClient, service: Service) -> None:
    models = (await client.get("/v1/models")).json()["models"]
    assert [model["name"] for model in models] == ["tiny", "colour"]
    tiny = (await client.get("/v1/models/tiny")).json()
    assert tiny == models[0]
    assert tiny["checkpoint"] == service.catalogue.get("tiny").checkpoint
    assert tiny["image_shape"] == [4, 3, 1]
    assert tiny["vocabulary"] == 17
    assert tiny["latent"] == {"n": CONFIG.latent_size, "k": CONFIG.latent_k}
    assert tiny["parameterisation"] == "velocity"
    assert tiny["runtime"] == EXECUTION
    assert tiny["limits"]["max_images"] == 1024
    assert tiny["presets"]["fast"] == {"name": "ddpm", "steps": 20, "grid": "gamma"}
    assert models[1]["presets"]["fast"]["steps"] == 7
    assert {"parameters", "calibration", "evaluation"} <= tiny.keys()
    assert_problem(await client.get("/v1/models/none"), 404, "unknown-model")


async def test_unknown_paths_and_methods_are_problems(client: httpx.AsyncClient) -> None:
    for path in ("/v1/nothing", "/v1/models/", "/v3", "/v1/models/a/b"):
        assert_problem(await client.get(path), 404, "not-found")
    for method, path in (("GET", "/v1/samples"), ("PUT", "/v1/likelihoods"), ("POST", "/livez")):
        response = await client.request(method, path)
        assert_problem(response, 405, "method-not-allowed")
        assert response.headers["allow"] == ("GET, HEAD" if path == "/livez" else "POST")


@pytest.mark.parametrize("given", ["abc-123", "x" * 128])
async def test_a_request_id_comes_back(client: httpx.AsyncClient, given: str) -> None:
    for path in ("/livez", "/nothing"):
        response = await client.get(path, headers={"X-Request-Id": given})
        assert response.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "\x00", "é"])
async def test_a_bad_request_id_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    headers = {b"X-Request-Id": given.encode("latin-1")}
    made = (await client.get("/livez", headers=headers)).headers["x-request-id"]
    assert made != given
    assert len(made) == 32


async def test_a_defect_of_ours_is_a_problem_too(
    client: httpx.AsyncClient, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    image = np.zeros((1, *CONFIG.image_shape), np.uint8)
    service.worker.answer = lambda job: SampleResult(image, (), (), (), "cpu/test")
    response = await client.post("/v1/samples", json={"model": "tiny"})
    problem = assert_problem(response, 500, "computation-failed")
    assert response.headers["connection"] == "close"
    (line,) = (record for record in caplog.records if record.name == "mulan.api")
    assert vars(line)["request_id"] == problem["request_id"]
    assert "assert" not in str(problem["detail"])


class TestBodyLimit:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(max_body_bytes=2000)

    @pytest.mark.parametrize("path", ["/v1/samples", "/v1/likelihoods"])
    async def test_by_content_length(self, client: httpx.AsyncClient, path: str) -> None:
        response = await client.post(path, content=b" " * 2001)
        problem = assert_problem(response, 413, "body-too-large")
        assert "2001" in str(problem["detail"])
        assert "2000" in str(problem["detail"])

    @pytest.mark.parametrize(
        "kind", ["application/json", "application/x-npy", "multipart/form-data; boundary=x"]
    )
    async def test_by_a_running_count(self, client: httpx.AsyncClient, kind: str) -> None:
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while sent < 1_000_000:
                sent += 500
                yield b" " * 500

        response = await client.post(
            "/v1/likelihoods?model=tiny", content=endless(), headers={"Content-Type": kind}
        )
        assert_problem(response, 413, "body-too-large")
        assert sent < 4000

    async def test_a_body_of_just_the_limit_is_read(self, client: httpx.AsyncClient) -> None:
        content = b'{"model": "tiny"}'.ljust(2000)
        headers = {"Content-Type": "application/json"}
        assert (await client.post("/v1/samples", content=content, headers=headers)).is_success

    async def test_an_absurd_length(self, client: httpx.AsyncClient) -> None:
        headers = {"Content-Type": "application/json", "Content-Length": "9" * 5000}
        response = await client.post("/v1/samples", content=b"{}", headers=headers)
        assert_problem(response, 413, "body-too-large")


class TestKeys:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings.model_validate({"api_keys": "alpha, beta"})

    @pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer gamma", "alpha", "Basic alpha"])
    async def test_without_a_key_everything_under_v1_is_closed(
        self, client: httpx.AsyncClient, value: str | None
    ) -> None:
        headers = {} if value is None else {"Authorization": value}
        for method, path in (
            ("POST", "/v1/samples"),
            ("POST", "/v1/likelihoods"),
            ("GET", "/v1/models"),
            ("GET", "/v1/nothing"),
        ):
            response = await client.request(method, path, headers=headers)
            assert_problem(response, 401, "unauthorized")
            assert response.headers["www-authenticate"] == "Bearer"

    async def test_the_rest_stays_open(self, client: httpx.AsyncClient) -> None:
        for path in ("/livez", "/readyz", "/docs", "/openapi.json"):
            assert (await client.get(path)).status_code == 200

    @pytest.mark.parametrize("key", ["alpha", "beta"])
    async def test_a_job_belongs_to_its_key(self, service: Service, key: str) -> None:
        async with service.client(authorization=f"Bearer {key}") as client:
            assert (await client.post("/v1/samples", json={"model": "tiny"})).is_success
        assert service.worker.jobs[0].owner == hashlib.sha256(key.encode()).hexdigest()

    async def test_the_description_names_the_scheme(self, client: httpx.AsyncClient) -> None:
        document = (await client.get("/openapi.json")).json()
        assert document["paths"]["/v1/samples"]["post"]["security"] == [{"key": []}]
        assert "security" not in document["paths"]["/livez"]["get"]


class TestPrivateDocs:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings.model_validate({"api_keys": "alpha", "private_docs": True})

    async def test_docs_ask_for_a_key(self, client: httpx.AsyncClient) -> None:
        for path in ("/docs", "/openapi.json"):
            assert_problem(await client.get(path), 401, "unauthorized")
            headers = {"Authorization": "bearer alpha"}
            assert (await client.get(path, headers=headers)).status_code == 200


def references(node: Any) -> set[str]:
    match node:
        case dict():
            found = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return found.union(*(references(child) for child in node.values()))
        case list():
            return set().union(*(references(child) for child in node))
    return set()


async def test_the_description_is_whole(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas
    for path in ("/v1/samples", "/v1/likelihoods"):
        post = document["paths"][path]["post"]
        assert post["requestBody"]["content"]["application/json"]["examples"]
        for status in ("400", "404", "406", "413", "415", "422", "429", "500", "503", "504"):
            assert "application/problem+json" in post["responses"][status]["content"]
    answers = document["paths"]["/v1/samples"]["post"]["responses"]["200"]["content"]
    assert answers.keys() == {"application/json", "image/png", "application/x-npy"}
    bodies = document["paths"]["/v1/likelihoods"]["post"]["requestBody"]["content"]
    photographs = {"image/jpeg", "image/bmp", "image/tiff", "image/webp"}
    files = {"multipart/form-data", "image/png", "application/x-npy", *photographs}
    assert bodies.keys() == {"application/json", *files}


async def test_every_parameter_of_every_solver_is_described(client: httpx.AsyncClient) -> None:
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    for name in ("Ddpm", "RtkUla", "RtkMala", "RtkUld", "SampleRequest", "LikelihoodRequest"):
        for field, schema in schemas[name]["properties"].items():
            assert field == "name" or schema.get("description"), f"{name}.{field}"


async def test_the_worked_examples_are_valid_requests(
    client: httpx.AsyncClient, service: Service
) -> None:
    document = (await client.get("/openapi.json")).json()
    service.catalogue.add(
        service.catalogue.get("tiny").manifest.model_copy(
            update={
                "name": "digits",
                "config": CONFIG.model_copy(
                    update={"image_shape": (8, 8, 1), "latent_size": 9, "latent_k": 1}
                ),
            }
        ),
        EXECUTION,
    )
    for path in ("/v1/samples", "/v1/likelihoods"):
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        for example in content["examples"].values():
            response = await client.post(path, json=example["value"])
            assert response.status_code == 200, response.text
