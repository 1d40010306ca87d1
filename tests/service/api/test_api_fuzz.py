"""Whatever comes in, the answer is a result or a problem of the client's making."""

import asyncio
import json
from typing import Any

import numpy as np
from api_double import Service, npy, png
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from infer_bodies import DARK, binary, images, tensor

from service.settings import Settings

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
FIELDS = ["model", "count", "seed", "solver", "latent", "timeout_s", "images", "draws", "probes"]
FIELDS += ["alpha", "heatmap", "select", "select_fdr", "source"]
PATHS = ["/livez", "/readyz", "/metrics", "/v1/models", "/v1/models/tiny", "/v1/jobs", "/v1/x"]
PATHS += ["/v1/jobs/x", "/v1/jobs/x/result", "/v1/jobs/x/events", "/v1/samples", "/"]
PATHS += ["/v2", "/v2/x", "/v2/models/tiny", "/v2/models/x/stats", "/v2/models/tiny/infer"]
BOUNDARY = b"frontier"
FORM = (
    b'--frontier\r\nContent-Disposition: form-data; name="model"\r\n\r\ntiny\r\n'
    b'--frontier\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n'
    b"Content-Type: image/png\r\n\r\n" + png(np.zeros((4, 3), np.uint8)) + b"\r\n--frontier--\r\n"
)
ARRAY = npy(np.zeros((2, 4, 3, 1), np.uint8))
MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]
PICTURES = [png(np.zeros((4, 3), np.uint8), mode) for mode in MODES]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
solvers = st.fixed_dictionaries(
    {"name": st.sampled_from(["ddpm", "rtk-mala", "rtk-ula", "rtk-uld", "adams", ""])},
    optional={"steps": scalars, "segments": st.integers(-1, 200), "preset": scalars},
)
values = st.recursive(
    scalars | solvers | st.just("tiny"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
bodies = st.dictionaries(st.sampled_from(FIELDS), values, max_size=6)


def ask(path: str, method: str = "POST", **request: Any) -> None:
    """One request to a fresh API, which answers it below 500."""

    async def run() -> int:
        service = Service(Settings(default_timeout_s=0.2, max_timeout_s=0.2))
        service.gate.open()
        worker = asyncio.create_task(service.worker.run())
        async with service.client() as client:
            response = await client.request(method, path, **request)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        if method == "HEAD":
            assert response.content == b""
        elif response.status_code not in (200, 202, 307):
            if path.startswith("/v2"):
                assert list(response.json()) == ["error"]
            else:
                assert response.headers["content-type"] == "application/problem+json"
                assert response.json()["status"] == response.status_code
            assert len(response.content) < 20_000
        return response.status_code

    status = asyncio.run(run())
    assert status < 500 or status == 504  # A timeout may be any number above 0.


@SETTINGS
@given(st.sampled_from(["/v1/samples", "/v1/likelihoods", "/v1/anomalies"]), bodies, st.booleans())
def test_any_json(path: str, body: dict[str, Any], named: bool) -> None:
    body = body | {"model": "tiny"} if named else body
    headers = {"Content-Type": "application/json"}
    ask(path, content=json.dumps(body).encode(), headers=headers)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """JSON, in which objects may have a name more than once."""
    members = draw(st.lists(st.tuples(st.sampled_from(FIELDS), values), max_size=6))
    pairs = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in members]
    pairs += draw(st.lists(st.sampled_from([*pairs, '"model": "tiny"']), max_size=3))
    return f"{{{', '.join(draw(st.permutations(pairs)))}}}"


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7", "cp1252", "cp500"]


@SETTINGS
@given(
    st.sampled_from(["/v1/samples", "/v1/likelihoods", "/v1/anomalies", "/v1/jobs"]),
    texts(),
    st.sampled_from(ENCODINGS),
    st.sampled_from(["application/json", "application/json; charset=utf-16", "APPLICATION/JSON"]),
)
def test_names_that_come_twice_and_odd_encodings(
    path: str, text: str, encoding: str, kind: str
) -> None:
    body = text.encode(encoding, errors="replace")
    ask(path, content=body, headers={"Content-Type": kind})


@SETTINGS
@given(
    st.sampled_from(PATHS),
    st.sampled_from(["Accept", "Last-Event-ID", "Range", "If-None-Match", "Content-Length"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40),
    st.sampled_from(["HEAD", "GET"]),
)
def test_head(path: str, name: str, value: str, method: str) -> None:
    ask(path, method, headers={name.encode(): value.encode("latin-1")})


@SETTINGS
@given(
    st.sampled_from(
        [
            (FORM, "multipart/form-data; boundary=frontier"),
            (ARRAY, "application/x-npy"),
            *((picture, "image/png") for picture in PICTURES),
        ]
    ),
    st.data(),
)
def test_damaged_uploads(upload: tuple[bytes, str], data: st.DataObject) -> None:
    original, content_type = upload
    content = bytearray(original)
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    headers = {"Content-Type": content_type}
    ask("/v1/likelihoods?model=tiny", content=bytes(content), headers=headers)
    ask("/v1/likelihoods", content=bytes(content), headers=headers)


@SETTINGS
@given(st.sampled_from([images(), tensor("images", "BYTES", ["x"])]), st.data())
def test_damaged_tensors(described: dict[str, Any], data: st.DataObject) -> None:
    elements = DARK.tobytes() if described["datatype"] == "UINT8" else b"\x03\0\0\0abc"
    request = binary((described, elements))
    content = bytearray(request["content"])
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    ask("/v2/models/tiny.likelihood/infer", **request | {"content": bytes(content[:cut])})


tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["images", "count", "seed", "solver", "latent"]) | st.text(),
        "datatype": st.sampled_from(["UINT8", "INT32", "INT64", "FP32", "BOOL", "BYTES"]),
        "shape": st.lists(st.integers(-1, 4), max_size=4),
    },
    optional={"data": values, "parameters": values},
)


@SETTINGS
@given(st.sampled_from(["tiny", "tiny.anomaly"]), st.lists(tensors, max_size=3), bodies)
def test_any_tensors(name: str, inputs: list[Any], parameters: dict[str, Any]) -> None:
    body = {"inputs": inputs, "parameters": parameters}
    ask(f"/v2/models/{name}/infer", content=json.dumps(body).encode())


@SETTINGS
@given(
    st.sampled_from(
        ["Accept", "Content-Type", "Content-Length", "Content-Encoding", "Authorization"]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40),
)
def test_any_header(name: str, value: str) -> None:
    headers = {b"Content-Type": b"application/json", name.encode(): value.encode("latin-1")}
    ask("/v1/samples", content=b'{"model": "tiny"}', headers=headers)


@SETTINGS
@given(st.text(max_size=60))
def test_any_multipart_type(parameters: str) -> None:
    headers = {b"Content-Type": b"multipart/form-data;" + parameters.encode("utf-8")}
    ask("/v1/likelihoods", content=FORM, headers=headers)


@SETTINGS
@given(st.text(max_size=40))
def test_any_query(query: str) -> None:
    headers = {"Content-Type": "application/x-npy"}
    ask("/v1/likelihoods", params=query, content=ARRAY, headers=headers)
