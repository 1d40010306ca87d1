"""The Open Inference Protocol: its models, its tensors, and one admission for both protocols."""

import base64
import io
import json
import struct
from typing import Any

import anyio
import httpx
import numpy as np
import pytest
from api_double import CONFIG, Service, manifest, png
from infer_bodies import DARK, binary, images, tensor
from PIL import Image

from service.settings import Settings

pytestmark = pytest.mark.anyio

SHA = manifest("tiny", CONFIG).sha256
TWO = {"inputs": [tensor("count", "INT32", [2]), tensor("seed", "INT64", [7])]}


def dark_png() -> bytes:
    return png(np.rint(255 * DARK[0, :, :, 0].astype(float) / 16).astype(np.uint8))


def outputs(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return {one["name"]: one for one in response.json()["outputs"]}


def behind(response: httpx.Response) -> tuple[dict[str, Any], bytes]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/octet-stream"
    length = int(response.headers["inference-header-content-length"])
    return json.loads(response.content[:length]), response.content[length:]


async def test_the_server_names_its_extensions(client: httpx.AsyncClient) -> None:
    server = (await client.get("/v2")).json()
    assert server["name"] == "mulan"
    assert "binary_tensor_data" in server["extensions"]
    assert (await client.get("/v2/health/live")).json() == {"live": True}
    assert (await client.get("/v2/health/ready")).json() == {"ready": True}


async def test_each_model_has_a_variant_for_each_kind(client: httpx.AsyncClient) -> None:
    index = (await client.post("/v2/repository/index")).json()
    states = {one["name"]: one["state"] for one in index}
    assert states == {
        "tiny": "READY",
        "tiny.likelihood": "READY",
        "tiny.anomaly": "READY",
        "colour": "READY",
        "colour.likelihood": "READY",
        "colour.anomaly": "UNAVAILABLE",
    }
    ready = (await client.post("/v2/repository/index", json={"ready": True})).json()
    assert "colour.anomaly" not in {one["name"] for one in ready}
    assert (await client.get("/v2/models/tiny.anomaly/ready")).status_code == 200
    lacking = await client.get("/v2/models/colour.anomaly/ready")
    assert lacking.status_code == 400
    assert "calibration" in lacking.json()["error"]


async def test_metadata_declare_what_infer_takes_and_gives(client: httpx.AsyncClient) -> None:
    for name in ("tiny", "tiny.likelihood", "tiny.anomaly"):
        shown = (await client.get(f"/v2/models/{name}")).json()
        assert shown["versions"] == ["1", SHA]
        body = {"inputs": [] if name == "tiny" else [images()]}
        found = outputs(await client.post(f"/v2/models/{name}/infer", json=body))
        assert list(found) == [one["name"] for one in shown["outputs"]]
        for one in shown["outputs"]:
            assert found[one["name"]]["datatype"] == one["datatype"]
            shape = found[one["name"]]["shape"]
            assert [-1, *shape[1:]] == one["shape"]
        config = (await client.get(f"/v2/models/{name}/config")).json()
        assert config["max_batch_size"] == (0 if name == "tiny" else 1024)
        assert [one["name"] for one in config["input"]] == [one["name"] for one in shown["inputs"]]


async def test_samples_are_those_of_v1(client: httpx.AsyncClient) -> None:
    wanted = {"model": "tiny", "count": 2, "seed": 7}
    response = await client.post(
        "/v1/samples", json=wanted, headers={"Accept": "application/x-npy"}
    )
    tokens = np.load(io.BytesIO(response.content))
    answer = await client.post("/v2/models/tiny/infer", json=TWO | {"id": "mine"})
    found, body = outputs(answer), answer.json()
    assert found["images"]["shape"] == [2, 4, 3, 1]
    np.testing.assert_array_equal(np.reshape(found["images"]["data"], (2, 4, 3, 1)), tokens)
    levels = np.rint(255 * tokens[0, :, :, 0].astype(float) / 16)
    drawn = Image.open(io.BytesIO(base64.b64decode(found["png"]["data"][0])))
    np.testing.assert_array_equal(np.asarray(drawn), levels)
    assert found["nfe"]["data"] == [20, 20]
    assert found["acceptance_rate"]["data"] == [None, None]
    assert found["latent"]["data"] == [0, 3, 0, 3]
    assert (body["model_name"], body["model_version"], body["id"]) == ("tiny", "1", "mine")
    facts = body["parameters"]
    assert (facts["checkpoint"], facts["seed"]) == (SHA, 7)
    assert (
        json.loads(facts["solver"])
        == (await client.post("/v1/samples", json=wanted)).json()["solver"]
    )
    assert (await client.get(f"/v1/jobs/{facts['job']}")).status_code == 404  # Nobody waits for it.


async def test_tensors_and_parameters_are_the_same_request(
    client: httpx.AsyncClient, service: Service
) -> None:
    url = "/v2/models/tiny/infer"
    solver = json.dumps({"name": "ddpm", "steps": 5})
    given = [tensor("solver", "BYTES", [solver]), tensor("latent", "INT32", [3, 1])]
    await client.post(url, json={"inputs": given, "parameters": {"count": 3, "seed": 5}})
    await client.post(url, json={"parameters": {"count": 3, "seed": 5, "solver": "fast"}})
    await client.post(
        url, **binary((tensor("solver", "BYTES", ["x"]), struct.pack("<I", 4) + b"fast"))
    )
    one, two, three = service.worker.jobs
    assert (one.task.solver.name, one.task.latent, one.task.count) == ("ddpm", (3, 1), 3)
    assert (two.task.seed, two.task.count) == (5, 3)
    assert three.task.solver == two.task.solver


async def test_binary_in_and_out(client: httpx.AsyncClient) -> None:
    dark = np.stack([DARK[0], DARK[0] // 2])
    flag = {"parameters": {"binary_data_output": True}}
    asked = binary((images(dark), dark.tobytes()), **flag)
    head, data = behind(await client.post("/v2/models/tiny.likelihood/infer", **asked))
    rows = (
        await client.post("/v2/models/tiny.likelihood/infer", json={"inputs": [images(dark)]})
    ).json()
    begin = 0
    for one, plain in zip(head["outputs"], rows["outputs"], strict=True):
        part = data[begin : begin + one["parameters"]["binary_data_size"]]
        begin += len(part)
        assert "data" not in one
        if one["datatype"] == "FP64":
            values = np.frombuffer(part, "<f8")
            expected = [np.nan if value is None else value for value in plain["data"]]
            np.testing.assert_array_equal(values, expected)
        if one["name"] == "status":
            assert part == 2 * (struct.pack("<I", 2) + b"ok")
    assert begin == len(data)


async def test_an_output_may_be_binary_beside_one_that_is_not(client: httpx.AsyncClient) -> None:
    wanted = [
        {"name": "nfe"},
        {"name": "images", "parameters": {"binary_data": True}},
    ]
    head, data = behind(await client.post("/v2/models/tiny/infer", json=TWO | {"outputs": wanted}))
    assert [one["name"] for one in head["outputs"]] == ["nfe", "images"]
    assert head["outputs"][0]["data"] == [20, 20]
    assert len(data) == 2 * 4 * 3


async def test_files_are_images_too(client: httpx.AsyncClient) -> None:
    file = dark_png()
    url = "/v2/models/tiny.anomaly/infer"
    tokens = outputs(await client.post(url, json={"inputs": [images()]}))
    text = base64.b64encode(file).decode()
    as_json = await client.post(url, json={"inputs": [tensor("images", "BYTES", [text])]})
    data = struct.pack("<I", len(file)) + file
    as_bytes = await client.post(url, **binary((tensor("images", "BYTES", [[text]]), data)))
    for answer in (as_json, as_bytes):
        assert outputs(answer)["score"] == tokens["score"]


async def test_a_verdict_is_that_of_v1(client: httpx.AsyncClient) -> None:
    parameters = {"alpha": 0.5, "heatmap": "raw", "select_fdr": 0.5}
    body = {"inputs": [images()], "parameters": parameters}
    found = outputs(await client.post("/v2/models/tiny.anomaly/infer", json=body))
    text = base64.b64encode(dark_png()).decode()
    wanted = {
        "model": "tiny",
        "images": [text],
        "alpha": 0.5,
        "heatmap": "raw",
        "select": {"fdr": 0.5},
    }
    (row,) = (await client.post("/v1/anomalies", json=wanted)).json()["results"]
    assert found["score"]["data"] == [row["score"]]
    assert found["p_value"]["data"] == [row["p_value"]]
    assert found["is_anomaly"]["data"] == [row["is_anomaly"]]
    assert found["heatmap"]["data"] == [row.pop("heatmap")]
    assert json.loads(found["details"]["data"][0]) == row


async def test_a_version_is_one_or_the_checkpoint(client: httpx.AsyncClient) -> None:
    for version in ("1", SHA):
        for part in ("", "/ready", "/config", "/stats"):
            path = f"/v2/models/tiny/versions/{version}{part}"
            assert (await client.get(path)).status_code == 200
        url = f"/v2/models/tiny/versions/{version}/infer"
        assert (await client.post(url, json=TWO)).status_code == 200
    response = await client.post("/v2/models/tiny/versions/2/infer", json=TWO)
    assert response.status_code == 404
    assert SHA in response.json()["error"]


async def test_statistics_count_images_and_failures(client: httpx.AsyncClient) -> None:
    await client.post("/v2/models/tiny/infer", json=TWO)
    await client.post("/v2/models/tiny/infer", json={"parameters": {"count": 0}})
    (shown,) = (await client.get("/v2/models/tiny/stats")).json()["model_stats"]
    assert (shown["inference_count"], shown["execution_count"]) == (2, 1)
    assert shown["inference_stats"]["fail"]["count"] == 1
    success = shown["inference_stats"]["success"]
    assert success["count"] == 1
    assert success["ns"] >= shown["inference_stats"]["compute_infer"]["ns"] >= 0
    everything = (await client.get("/v2/models/stats")).json()["model_stats"]
    assert shown in everything
    assert len(everything) == 6


async def test_a_key_sent_twice_is_one_job(client: httpx.AsyncClient, service: Service) -> None:
    headers = {"Idempotency-Key": "k"}
    answers = [
        (await client.post("/v2/models/tiny/infer", json=TWO, headers=headers)).json()["parameters"]
        for _ in range(2)
    ]
    assert answers[0]["job"] == answers[1]["job"]
    assert len(service.worker.jobs) == 1


async def test_priority_and_timeout_are_tritons(
    client: httpx.AsyncClient, service: Service
) -> None:
    url = "/v2/models/tiny/infer"
    for given, priority in ((1, 1), (3, -1), (0, 0), ("low", -1)):
        body = {"parameters": {"priority": given, "timeout": 9_000_000}}
        assert (await client.post(url, json=body)).status_code == 200
        job = service.worker.jobs[-1]
        assert job.priority == priority
        assert job.deadline - job.created_at == pytest.approx(9)


async def test_a_deadline_is_a_504(client: httpx.AsyncClient, service: Service) -> None:
    service.worker.proceed.clear()
    body = {"parameters": {"timeout": 100_000}}
    response = await client.post("/v2/models/tiny/infer", json=body)
    assert response.status_code == 504
    assert list(response.json()) == ["error"]
    await anyio.sleep(0.05)
    assert service.worker.cancelled == [service.worker.jobs[0].id]


class TestKeys:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(api_keys="secret", request_rate="2/hour")

    async def test_keys_and_rates_hold(self, client: httpx.AsyncClient) -> None:
        url, key = "/v2/models/tiny/infer", {"Authorization": "Bearer secret"}
        refused = await client.post(url, json=TWO)
        assert refused.status_code == 401
        assert refused.json() == {"error": "a valid API key is needed: Authorization: Bearer <key>"}
        for path in ("/v2", "/v2/models/tiny", "/v2/models/stats"):
            assert (await client.get(path)).status_code == 401
        for path in ("/v2/health/live", "/v2/health/ready"):
            assert (await client.get(path)).status_code == 200
        assert (await client.post(url, json=TWO, headers=key)).status_code == 200
        assert (await client.post("/v1/samples", json={"model": "tiny"}, headers=key)).is_success
        limited = await client.post(url, json=TWO, headers=key)
        assert limited.status_code == 429
        assert int(limited.headers["retry-after"]) > 0
