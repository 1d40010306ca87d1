"""A stock client of Triton, and bodies as KServe's client writes them, against the service."""

import io
import json
import threading
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from PIL import Image
from tritonclient.utils import InferenceServerException

from models.files.shelf import find

TIMEOUT_S = 300.0
DRAWN = {"model": "digits", "count": 3, "seed": 7}


@pytest.fixture
def client(address: str) -> Iterator[triton.InferenceServerClient]:
    place = address.removeprefix("http://")
    with triton.InferenceServerClient(
        place, network_timeout=TIMEOUT_S, connection_timeout=TIMEOUT_S
    ) as client:
        yield client


def given(name: str, values: np.ndarray, datatype: str, **how: bool) -> triton.InferInput:
    tensor = triton.InferInput(name, list(values.shape), datatype)
    tensor.set_data_from_numpy(values, **how)
    return tensor


@pytest.fixture(scope="module")
def tokens(address: str) -> np.ndarray:
    response = httpx.post(
        f"{address}/v1/samples",
        json=DRAWN,
        headers={"Accept": "application/x-npy"},
        timeout=TIMEOUT_S,
    )
    found: np.ndarray = np.load(io.BytesIO(response.content))
    return found


def test_what_a_client_asks_first(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("digits.anomaly")
    assert client.is_model_ready("digits", "1")
    assert not client.is_model_ready("nobody")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    names = {one["name"] for one in client.get_model_repository_index()}
    assert {"digits", "digits.likelihood", "digits.anomaly", "mnist"} <= names
    assert client.get_model_metadata("digits")["inputs"][0]["name"] == "count"
    assert client.get_model_config("digits.likelihood")["max_batch_size"] == 1024


def test_samples_with_the_clients_defaults(
    client: triton.InferenceServerClient, tokens: np.ndarray
) -> None:
    wanted = [
        given("count", np.array([3], np.int32), "INT32"),
        given("seed", np.array([7], np.int64), "INT64"),
    ]
    result = client.infer("digits", wanted, request_id="mine")
    np.testing.assert_array_equal(result.as_numpy("images"), tokens)
    answer = result.get_response()
    assert answer["id"] == "mine"
    assert answer["parameters"]["checkpoint"] == find("digits")[1].sha256
    assert all("binary_data_size" in one["parameters"] for one in answer["outputs"])
    png = np.asarray(Image.open(io.BytesIO(result.as_numpy("png")[0])))
    np.testing.assert_array_equal(png, np.rint(255 * tokens[0, :, :, 0].astype(float) / 16))
    nothing = client.infer("digits", [], parameters={"count": 3, "seed": 7})
    np.testing.assert_array_equal(nothing.as_numpy("images"), tokens)


@pytest.mark.parametrize("binary", [True, False])
def test_images_are_scored_and_judged(
    client: triton.InferenceServerClient, address: str, tokens: np.ndarray, binary: bool
) -> None:
    sent = [given("images", tokens, "UINT8", binary_data=binary)]
    wanted = [
        triton.InferRequestedOutput(name, binary_data=binary) for name in ("details", "status")
    ]
    npy = io.BytesIO()
    np.save(npy, tokens)
    for name, kind in (("digits.likelihood", "likelihoods"), ("digits.anomaly", "anomalies")):
        rows = httpx.post(
            f"{address}/v1/{kind}?model=digits",
            content=npy.getvalue(),
            headers={"Content-Type": "application/x-npy"},
            timeout=TIMEOUT_S,
        ).json()["results"]
        result = client.infer(name, sent, outputs=wanted)
        assert [json.loads(text)["nfe"] for text in result.as_numpy("details")] == [
            row["nfe"] for row in rows
        ]
        numbers = client.infer(name, sent)
        for field in ("log_px_lower_bound", "score", "p_value"):
            if field in rows[0]:
                expected = [row[field] for row in rows]
                np.testing.assert_allclose(numbers.as_numpy(field), expected, rtol=1e-6)


def test_files_as_bytes(client: triton.InferenceServerClient, tokens: np.ndarray) -> None:
    drawn = client.infer("digits", [], parameters={"count": 3, "seed": 7})
    files = given("images", drawn.as_numpy("png"), "BYTES")
    whole = given("images", tokens, "UINT8")
    scores = [client.infer("digits.anomaly", [one]).as_numpy("score") for one in (files, whole)]
    np.testing.assert_allclose(*scores, rtol=1e-6)


def test_an_error_is_told_as_the_client_expects(client: triton.InferenceServerClient) -> None:
    wrong = given("images", np.zeros((1, 8, 8, 1), np.float32), "FP32")
    with pytest.raises(InferenceServerException, match="images: datatype FP32, expected UINT8"):
        client.infer("digits.anomaly", [wrong])
    with pytest.raises(InferenceServerException, match="no model is called 'nobody'") as told:
        client.infer("nobody", [])
    assert told.value.status() == "404"


def test_requests_at_once_and_statistics(client: triton.InferenceServerClient) -> None:
    def count() -> int:
        (shown,) = client.get_inference_statistics("digits")["model_stats"]
        return int(shown["inference_count"])

    before = count()
    handles = [
        client.async_infer("digits", [], parameters={"count": 2, "seed": seed}) for seed in range(4)
    ]
    drawn = [handle.get_result().as_numpy("images") for handle in handles]
    assert len({image.tobytes() for image in drawn}) == 4
    assert count() - before == 8
    assert threading.active_count() < 20


def test_kserves_bodies(address: str, tokens: np.ndarray) -> None:
    """InferRequest.to_rest() of KServe's Python client names model and id, and sends empty
    parameters."""
    body = {
        "id": "8a5c6f1e-6d0a-4d8b-9d6f-3f0f2a1f7c55",
        "model_name": "digits.anomaly",
        "inputs": [
            {
                "name": "images",
                "shape": list(tokens.shape),
                "datatype": "UINT8",
                "parameters": {},
                "data": tokens.tolist(),
            }
        ],
        "parameters": {"alpha": 0.01},
    }
    url = f"{address}/v2/models/digits.anomaly/infer"
    answer = httpx.post(url, json=body, timeout=TIMEOUT_S).json()
    assert {"id", "model_name", "model_version", "outputs"} <= answer.keys()
    found = {one["name"]: one for one in answer["outputs"]}
    assert found["p_value"]["shape"] == [3]
    assert found["is_anomaly"]["data"] == [p <= 0.01 for p in found["p_value"]["data"]]
    assert httpx.get(f"{address}/v2/models/digits.anomaly/ready").json()["ready"] is True
