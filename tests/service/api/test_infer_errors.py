"""Requests for inference that are wrong: one line, named, with the right status."""

import json
import struct
from typing import Any

import httpx
import numpy as np
import pytest
from api_double import Service
from infer_bodies import DARK, binary, images, tensor

from service.settings import Settings

pytestmark = pytest.mark.anyio

SCORE = "/v2/models/tiny.likelihood/infer"
DRAW = "/v2/models/tiny/infer"
FOUR = struct.pack("<I", 4) + b"fast"


def refusal(response: httpx.Response, status: int = 400) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    (line,) = response.json().values()
    assert list(response.json()) == ["error"]
    assert "\n" not in line
    assert len(line) < 400
    return str(line)


IN_JSON: list[tuple[dict[str, Any], str]] = [
    ({"inputs": []}, "images: is missing"),
    ({"inputs": [tensor("images", "FP32", DARK / 16)]}, "images: datatype FP32, expected UINT8"),
    ({"inputs": [images(DARK[0])]}, "images: 3 axes, expected [N, H, W, C]"),
    ({"inputs": [images(DARK.reshape(1, 3, 4, 1))]}, "image shape [3, 4, 1], expected [4, 3, 1]"),
    ({"inputs": [images(np.zeros((0, 4, 3, 1), np.uint8))]}, "images: should hold at least one"),
    ({"inputs": [images(np.full((1, 4, 3, 1), 17))]}, "images: token 17 at [0, 0, 0, 0]"),
    ({"inputs": [images(np.full((1, 4, 3, 1), 256))]}, "images: data should be within 0 to 255"),
    ({"inputs": [images(np.full((1, 4, 3, 1), -1))]}, "images: data should be within 0 to 255"),
    ({"inputs": [images(DARK / 2)]}, "images: data has elements that are no UINT8"),
    ({"inputs": [images() | {"data": [[1, 2], [3]]}]}, "images: data is nested unevenly"),
    ({"inputs": [images() | {"data": ["1"] * 12}]}, "images: data has elements that are no UINT8"),
    ({"inputs": [images() | {"data": [2**70] * 12}]}, "images: data has elements that are no"),
    ({"inputs": [images() | {"shape": [2, 4, 3, 1]}]}, "images: shape is [2, 4, 3, 1], and data"),
    ({"inputs": [images() | {"shape": [-1, 4, 3, 1]}]}, "images: shape [-1, 4, 3, 1] has a size"),
    ({"inputs": [images() | {"shape": [2**40, 2**40, 0], "data": []}]}, "has more elements than"),
    ({"inputs": [images() | {"data": None}]}, "images: has neither of data and binary_data_size"),
    ({"inputs": [images(), images()]}, "images: is an input more than once"),
    ({"inputs": [images(), tensor("pixels", "UINT8", [1])]}, "pixels: is no input of the model"),
    ({"inputs": [images() | {"datatype": "BF16"}]}, "inputs[0].datatype: Input should be"),
    ({"inputs": [images()], "outputs": [{"name": "score"}]}, "score: is no output of the model"),
    (
        {"inputs": [images()], "outputs": [{"name": "nfe"}, {"name": "nfe"}]},
        "nfe: is an output more than once",
    ),
    (
        {"inputs": [images()], "outputs": [{"name": "nfe", "parameters": {"classification": 2}}]},
        "nfe: takes no parameter classification",
    ),
    ({"inputs": [images()], "parameters": {"draws": 0}}, "draws: Input should be greater than"),
    ({"inputs": [images()], "parameters": {"sequence_id": 3}}, "sequence_id: Extra inputs"),
    ({"inputs": [images()], "parameters": {"model": "colour"}}, "model: is in the path"),
    ({"inputs": [images()], "parameters": {"timeout": "soon"}}, "timeout: should be microseconds"),
    ({"inputs": [images()], "parameters": {"priority": 9}}, "priority: should be 0 to 3"),
    ({"inputs": [images()], "parameters": {"binary_data_output": 1}}, "should be true or false"),
    ({"inputs": [tensor("images", "BYTES", ["?"])]}, "images[0]: not base64"),
    ({"inputs": [tensor("images", "BYTES", ["AAAA"])]}, "images[0]: neither a PNG nor"),
    (
        {"inputs": [tensor("images", "BYTES", [""])]},
        "images[0]: empty, and so no image; PNG and .npy are read",
    ),
    ({"inputs": [tensor("images", "BYTES", [["AA", "AA"]])]}, "images: shape [1, 2], expected [N]"),
]


@pytest.mark.parametrize(("body", "words"), IN_JSON)
async def test_wrong_in_json(client: httpx.AsyncClient, body: Any, words: str) -> None:
    assert words in refusal(await client.post(SCORE, json=body))


BINARY: list[tuple[dict[str, Any], str]] = [
    (binary((images(), DARK.tobytes()[:-1])), "images: binary_data_size is 11; UINT8 of shape"),
    (
        binary((images() | {"parameters": {"binary_data_size": 13}}, DARK.tobytes())),
        "images: binary_data_size is 13, and 12 bytes are left",
    ),
    (
        binary((images() | {"parameters": {"binary_data_size": -1}}, DARK.tobytes())),
        "images: binary_data_size should be a number of bytes",
    ),
    (
        binary((images() | {"parameters": {"binary_data_size": "12"}}, DARK.tobytes())),
        "images: binary_data_size should be a number of bytes",
    ),
    (
        binary((images() | {"shape": [2**53, 2**53, 3, 1]}, DARK.tobytes())),
        "images: shape [9007199254740992, 9007199254740992, 3, 1] has more elements than",
    ),
    (
        binary((images() | {"shape": [2**53, 2**53, 0, 1]}, b"")),
        "images: shape [9007199254740992, 9007199254740992, 0, 1] has more elements than",
    ),
    (binary((tensor("images", "BYTES", ["x"]), FOUR[:-1])), "images: element 0 has 4 bytes"),
    (binary((tensor("images", "BYTES", ["x"]), FOUR + FOUR)), "images: shape [1] has 1 elements"),
    (binary((tensor("images", "BYTES", ["x", "x"]), FOUR)), "images: shape [2] has 2 elements"),
    (binary((tensor("images", "BYTES", ["x"]), FOUR[:3])), "images: shape [1] has 1 elements"),
]


@pytest.mark.parametrize(("request_", "words"), BINARY)
async def test_wrong_binary_data(
    client: httpx.AsyncClient, request_: dict[str, Any], words: str
) -> None:
    assert words in refusal(await client.post(SCORE, **request_))


async def test_bytes_that_no_tensor_has(client: httpx.AsyncClient) -> None:
    asked = binary((images(), DARK.tobytes()))
    asked["content"] += b"more"
    assert "body: has 16 bytes behind the JSON" in refusal(await client.post(SCORE, **asked))


@pytest.mark.parametrize("given", ["-1", "1e3", "", "9" * 30, "٣"])
async def test_a_header_that_is_no_length(client: httpx.AsyncClient, given: str) -> None:
    headers = {b"Inference-Header-Content-Length": given.encode()}
    line = refusal(await client.post(DRAW, content=b"{}", headers=headers))
    assert line == "Inference-Header-Content-Length: should be a number of bytes"


async def test_a_header_longer_than_the_body(client: httpx.AsyncClient) -> None:
    headers = {"Inference-Header-Content-Length": "3"}
    line = refusal(await client.post(DRAW, content=b"{}", headers=headers))
    assert line == "Inference-Header-Content-Length: is 3, and the body has 2 bytes"


async def test_a_header_that_cuts_the_json(client: httpx.AsyncClient) -> None:
    headers = {"Inference-Header-Content-Length": "1"}
    refusal(await client.post(DRAW, content=b"{}", headers=headers))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"inputs": [tensor("count", "FP32", [1.0])]}, "count: datatype FP32, expected INT32"),
        ({"inputs": [tensor("count", "INT32", [1, 2])]}, "count: shape [2], expected [1]"),
        ({"inputs": [tensor("count", "INT32", [0])]}, "count: Input should be greater than"),
        ({"inputs": [tensor("count", "INT32", [5000])]}, "count: should be at most 1024"),
        ({"inputs": [tensor("count", "INT32", [2**31])]}, "count: data should be within"),
        ({"inputs": [tensor("solver", "BYTES", ["quick"])]}, "solver: should be one of fast"),
        ({"inputs": [tensor("solver", "BYTES", ['{"name": "x"}'])]}, "solver: should be one of"),
        ({"inputs": [tensor("solver", "BYTES", [1])]}, "solver: data should be texts"),
        ({"inputs": [tensor("latent", "INT32", [1])]}, "latent: should be 2 distinct indices"),
        (
            {"inputs": [tensor("count", "INT32", [1])], "parameters": {"count": 1}},
            "count: is given as an input and as a parameter",
        ),
        ({"parameters": {"seed": -1}}, "seed: Input should be greater than or equal to 0"),
        (
            {"parameters": {"solver": {"name": "ddpm"}}},
            "parameters.solver: should be a text, a number",
        ),
        ({"parameters": {"latent": [1]}}, "parameters.latent: should be a text, a number"),
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
    ],
)
async def test_wrong_wishes_for_samples(
    client: httpx.AsyncClient, body: dict[str, Any], words: str
) -> None:
    assert words in refusal(await client.post(DRAW, json=body))


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'{"id": "a", "id": "b"}'])
async def test_what_is_no_request(client: httpx.AsyncClient, content: bytes) -> None:
    refusal(await client.post(DRAW, content=content))


async def test_more_elements_than_json_should_have(client: httpx.AsyncClient) -> None:
    body = b'{"inputs": [{"name": "images", "data": [' + b"1," * (1 << 20) + b"1]}]}"
    assert "body: has more than 1048576 values" in refusal(await client.post(SCORE, content=body))


async def test_a_compressed_body_is_not_read(client: httpx.AsyncClient) -> None:
    headers = {"Content-Encoding": "gzip"}
    refusal(await client.post(DRAW, content=b"{}", headers=headers), 415)


@pytest.mark.parametrize("name", ["nobody", "tiny.depth", "nobody.anomaly", ".anomaly", "tiny."])
async def test_unknown_models(client: httpx.AsyncClient, name: str) -> None:
    for path in ("", "/ready", "/config", "/stats"):
        refusal(await client.get(f"/v2/models/{name}{path}"), 404)
    refusal(await client.post(f"/v2/models/{name}/infer", json={}), 404)


async def test_other_paths_and_methods(client: httpx.AsyncClient) -> None:
    assert refusal(await client.get("/v2/nothing"), 404) == "nothing lives at /v2/nothing"
    response = await client.get(DRAW)
    assert refusal(response, 405) == f"{DRAW} takes POST"
    assert response.headers["allow"] == "POST"


async def test_a_model_without_a_calibration_judges_nothing(client: httpx.AsyncClient) -> None:
    colour = tensor("images", "UINT8", np.zeros((1, 4, 3, 3), np.uint8))
    line = refusal(await client.post("/v2/models/colour.anomaly/infer", json={"inputs": [colour]}))
    assert "calibration" in line


class TestSmall:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(max_images=2, max_body_bytes=2048)

    async def test_too_many_images_and_bytes(self, client: httpx.AsyncClient) -> None:
        dark = np.concatenate([DARK] * 3)
        asked = binary((images(dark), dark.tobytes()))
        assert "3 images; at most 2" in refusal(await client.post(SCORE, **asked), 413)
        refusal(await client.post(SCORE, content=b" " * 4096), 413)


async def test_nothing_was_asked_of_a_worker(client: httpx.AsyncClient, service: Service) -> None:
    for body, _ in IN_JSON:
        await client.post(SCORE, content=json.dumps(body).encode())
    assert service.worker.jobs == []
