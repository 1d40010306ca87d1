"""POST /v1/samples: what it answers, and what it refuses before any work."""

import base64
import io
import json
from typing import Any

import httpx
import numpy as np
import pytest
from api_double import EXECUTION, Service, assert_problem
from PIL import Image

from service.errors import ComputationFailed

pytestmark = pytest.mark.anyio


async def post(client: httpx.AsyncClient, body: dict[str, Any], accept: str = "") -> httpx.Response:
    headers = {"Accept": accept} if accept else {}
    return await client.post("/v1/samples", json={"model": "tiny"} | body, headers=headers)


async def test_the_answer_says_all_that_determines_the_images(
    client: httpx.AsyncClient, service: Service
) -> None:
    response = await post(client, {"count": 3, "seed": 7, "timeout_s": 5})
    assert response.status_code == 200
    body = response.json()
    job = service.worker.jobs[0]
    assert body["id"] == job.id
    assert body["model"] == "tiny"
    assert body["checkpoint"] == service.catalogue.get("tiny").checkpoint
    assert body["execution"] == EXECUTION
    assert body["seed"] == 7
    assert body["solver"] == {"name": "ddpm", "steps": 50, "grid": "gamma"}
    assert body["timing"].keys() == {"queued_s", "running_s"}
    assert [image["index"] for image in body["images"]] == [0, 1, 2]
    for image in body["images"]:
        assert image["nfe"] == 20
        assert image["acceptance_rate"] is None
        assert image["latent"] == [0, 3]
        assert Image.open(io.BytesIO(base64.b64decode(image["png"]))).size == (3, 4)
    assert job.deadline - job.created_at == pytest.approx(5)
    assert response.headers["server-timing"].startswith("queue;dur=")


async def test_array_and_json_carry_the_same_pixels(client: httpx.AsyncClient) -> None:
    body = {"count": 5, "seed": 3}
    tokens = np.load(io.BytesIO((await post(client, body, "application/x-npy")).content))
    assert (tokens.dtype, tokens.shape) == (np.uint8, (5, 4, 3, 1))
    for image, token in zip((await post(client, body)).json()["images"], tokens, strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(image["png"]))))
        np.testing.assert_array_equal(
            pixels, [[round(255 * v / 16) for (v,) in row] for row in token.tolist()]
        )


@pytest.mark.parametrize("model", ["tiny", "colour"])
async def test_a_contact_sheet_names_its_job_in_headers(
    client: httpx.AsyncClient, service: Service, model: str
) -> None:
    response = await post(client, {"model": model, "count": 5, "seed": 3}, "image/png")
    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-mulan-id"] == service.worker.jobs[0].id
    assert response.headers["x-mulan-seed"] == "3"
    assert response.headers["x-mulan-checkpoint"] == service.catalogue.get(model).checkpoint
    assert json.loads(response.headers["x-mulan-solver"])["steps"] == 50
    sheet = Image.open(io.BytesIO(response.content))
    assert sheet.mode == ("L" if model == "tiny" else "RGB")
    assert sheet.size == (3 * (3 * 16 + 2) + 2, 2 * (4 * 16 + 2) + 2)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("image/*", "image/png"),
        ("text/html, application/x-npy;q=0.2", "application/x-npy"),
        ("application/json;q=0.1, image/png", "image/png"),
    ],
)
async def test_the_accept_header_chooses(
    client: httpx.AsyncClient, accept: str, expected: str
) -> None:
    assert (await post(client, {}, accept)).headers["content-type"] == expected


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "nonsense", "image/jpeg"])
async def test_what_cannot_be_answered_is_406(
    client: httpx.AsyncClient, service: Service, accept: str
) -> None:
    assert_problem(await post(client, {}, accept), 406, "not-acceptable")
    assert not service.worker.jobs


async def test_a_seed_left_out_is_drawn_and_returned(client: httpx.AsyncClient) -> None:
    seeds = {(await post(client, {})).json()["seed"] for _ in range(8)}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**53 for seed in seeds)
    assert (await post(client, {"seed": 2**53 - 1})).json()["seed"] == 2**53 - 1


async def test_presets_come_from_the_checkpoint_else_untuned(client: httpx.AsyncClient) -> None:
    async def solver(model: str, preset: str) -> Any:
        body = {"model": model, "solver": {"preset": preset}}
        return (await post(client, body)).json()["solver"]

    assert await solver("colour", "fast") == {"name": "ddpm", "steps": 7, "grid": "time"}
    assert await solver("tiny", "fast") == {"name": "ddpm", "steps": 20, "grid": "gamma"}
    assert await solver("colour", "best") == {"name": "ddpm", "steps": 250, "grid": "gamma"}


async def test_a_solver_by_name_is_filled_up_with_defaults(client: httpx.AsyncClient) -> None:
    response = await post(client, {"solver": {"name": "rtk-mala", "segments": 3}})
    solver = response.json()["solver"]
    assert (solver["name"], solver["segments"]) == ("rtk-mala", 3)
    assert {"inner_steps", "grid", "start", "step_size", "energy"} <= solver.keys()


async def test_a_fixed_latent_reaches_the_task(client: httpx.AsyncClient, service: Service) -> None:
    assert (await post(client, {"latent": [5, 0]})).status_code == 200
    assert (await post(client, {"latent": "prior"})).status_code == 200
    assert [job.task.latent for job in service.worker.jobs] == [(5, 0), None]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"count": 0}, "count", "greater than or equal to 1"),
        ({"count": 1025}, "count", "at most 1024"),
        ({"count": 2.0}, "count", "valid integer"),
        ({"count": True}, "count", "valid integer"),
        ({"seed": -1}, "seed", "greater than or equal to 0"),
        ({"seed": 2**53}, "seed", f"less than or equal to {2**53 - 1}"),
        ({"seed": 1.5}, "seed", "valid integer"),
        ({"seed": True}, "seed", "valid integer"),
        ({"seed": "7"}, "seed", "valid integer"),
        ({"model": 3}, "model", "valid string"),
        ({"colour": "red"}, "colour", "not permitted"),
        ({"timeout_s": 0}, "timeout_s", "greater than 0"),
        ({"latent": [0, 0]}, "latent", "2 distinct indices from 0 to 5"),
        ({"latent": [0, 6]}, "latent", "2 distinct indices from 0 to 5"),
        ({"latent": [1]}, "latent", "2 distinct indices from 0 to 5"),
        ({"latent": []}, "latent", "2 distinct indices from 0 to 5"),
        ({"latent": [-1, 2]}, "latent", "distinct indices"),
        ({"latent": "posterior"}, "latent", '"prior"'),
        ({"solver": {"name": "euler"}}, "solver", "'ddpm'"),
        ({"solver": {"steps": 5}}, "solver", '"name"'),
        ({"solver": "ddpm"}, "solver", "object"),
        ({"solver": {"preset": "slow"}}, "solver.preset", "'balanced'"),
        ({"solver": {"preset": "fast", "steps": 3}}, "solver.steps", "not permitted"),
        ({"solver": {"name": "ddpm", "steps": 0}}, "solver.steps", "greater than or equal to 1"),
        ({"solver": {"name": "ddpm", "steps": 1001}}, "solver.steps", "1000"),
        ({"solver": {"name": "ddpm", "grid": "cosine"}}, "solver.grid", "'gamma', 'time' or 'ou'"),
        ({"solver": {"name": "rtk-uld", "step_size": 0}}, "solver.step_size", "0.000001"),
        ({"solver": {"name": "ddpm", "points": [0.5]}}, "solver", "50 steps have 49 points"),
        ({"solver": {"name": "rtk-ula", "energy": "simpson"}}, "solver.energy", "not permitted"),
    ],
)
async def test_a_meaningless_request_names_field_and_bound(
    client: httpx.AsyncClient, service: Service, body: dict[str, Any], field: str, words: str
) -> None:
    problem: Any = assert_problem(await post(client, body), 422, "invalid-request")
    assert [entry["field"] for entry in problem["errors"]] == [field]
    assert words in problem["errors"][0]["message"]
    assert "Value error" not in problem["detail"]
    assert field in problem["detail"]
    assert not service.worker.jobs


async def test_every_wrong_field_is_listed(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/samples", json={"count": 0, "seed": -1})
    problem: Any = assert_problem(response, 422, "invalid-request")
    assert {entry["field"] for entry in problem["errors"]} == {"model", "count", "seed"}


async def test_too_costly_a_request_is_told_both_numbers(
    client: httpx.AsyncClient, service: Service
) -> None:
    body = {"count": 1024, "solver": {"name": "ddpm", "steps": 1000}}
    problem = assert_problem(await post(client, body), 422, "request-too-expensive")
    assert "1024000" in str(problem["detail"])
    assert "1000000" in str(problem["detail"])
    assert not service.worker.jobs


async def test_an_unknown_model_is_404_and_told_who_serves(client: httpx.AsyncClient) -> None:
    problem = assert_problem(await post(client, {"model": "imagenet"}), 404, "unknown-model")
    assert "tiny" in str(problem["detail"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"model": "tiny",}',
        b'\xff\xfe{"model": "tiny"}',
        b'{"model": "\xff"}',
        b"[" * 100_000,
        b'{"model": "tiny", "seed": ' + b"9" * 10_000 + b"}",
    ],
)
async def test_what_is_not_json_is_malformed(
    client: httpx.AsyncClient, service: Service, body: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    response = await client.post("/v1/samples", content=body, headers=headers)
    assert_problem(response, 400, "malformed-body")
    assert not service.worker.jobs


@pytest.mark.parametrize("body", [b"[]", b"null", b"3", b'{"a":' * 60 + b"1" + b"}" * 60])
async def test_json_of_another_shape_is_invalid(client: httpx.AsyncClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    response = await client.post("/v1/samples", content=body, headers=headers)
    assert_problem(response, 422, "invalid-request")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-npy", ""])
async def test_another_body_type_is_415(client: httpx.AsyncClient, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    response = await client.post("/v1/samples", content=b'{"model":"tiny"}', headers=headers)
    assert_problem(response, 415, "unsupported-media-type")


async def test_a_compressed_body_is_415(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = await client.post("/v1/samples", content=b"\x1f\x8b", headers=headers)
    assert_problem(response, 415, "unsupported-media-type")


async def test_a_failed_job_is_told_with_its_id(
    client: httpx.AsyncClient, service: Service
) -> None:
    service.worker.answer = lambda job: ComputationFailed("2 of 3 images failed: not finite")
    problem = assert_problem(await post(client, {"count": 3}), 500, "computation-failed")
    assert problem["job"] == service.worker.jobs[0].id
    assert problem["detail"] == "2 of 3 images failed: not finite"


@pytest.mark.parametrize("latent", [[], [0]])
async def test_a_model_without_a_latent_takes_none(
    client: httpx.AsyncClient, service: Service, latent: list[int]
) -> None:
    manifest = service.catalogue.get("tiny").manifest
    config = manifest.config.model_copy(update={"latent_size": 0, "latent_k": 0})
    service.catalogue.add(manifest.model_copy(update={"name": "vdm", "config": config}), EXECUTION)
    response = await post(client, {"model": "vdm", "latent": latent})
    assert response.status_code == 422
    assert response.json()["errors"][0]["message"] == "should be left out: this model has none"
    assert (await client.get("/v1/models/vdm")).json()["latent"] == {"n": 0, "k": 0}
