"""Input that somebody made on purpose: each has its status, and none reaches a model."""

import struct
import zlib

import httpx
import numpy as np
import pytest
from api_double import Service, assert_problem, png

pytestmark = pytest.mark.anyio

NPY = {"Content-Type": "application/x-npy"}
URL = "/v1/likelihoods?model=tiny"
BLACK = png(np.zeros((4, 3), np.uint8))


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def ihdr(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


def forged_png(*chunks: bytes) -> bytes:
    return BLACK[:8] + b"".join(chunks) + chunk(b"IEND", b"")


def npy_with_shape(shape: str, version: bytes = b"\x01\x00") -> bytes:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + bytes(12)


ROWS = zlib.compress(bytes(4 * (1 + 3)))
PNGS = {
    "a second header": forged_png(ihdr(3, 4), ihdr(20_000, 20_000), chunk(b"IDAT", ROWS)),
    "a bomb": forged_png(ihdr(3, 4), chunk(b"IDAT", zlib.compress(bytes(10_000_000)))),
    "an animation": forged_png(ihdr(3, 4), chunk(b"acTL", bytes(8)), chunk(b"IDAT", ROWS)),
    "a chunk past the end": BLACK[:33] + struct.pack(">I4s", 2**31 - 1, b"IDAT"),
    "damaged pixels": forged_png(ihdr(3, 4), chunk(b"IDAT", b"not deflated")),
}


@pytest.mark.parametrize("name", PNGS)
async def test_png(client: httpx.AsyncClient, service: Service, name: str) -> None:
    files = [("images", ("0", PNGS[name]))]
    response = await client.post("/v1/likelihoods", files=files, data={"model": "tiny"})
    assert_problem(response, 400, "malformed-body")
    assert not service.worker.jobs


@pytest.mark.parametrize(
    "content",
    [
        npy_with_shape(f"({'0x' + 'f' * 8000}, 4, 3, 1)"),
        npy_with_shape(f"(1, {'9' * 4000}, 3, 1)"),
        npy_with_shape("(True, 4, 3, 1)"),
        npy_with_shape("(-1, 4, 3, 1)"),
        npy_with_shape("(1, 4, 3, 1)", version=b"\x09\x09"),
    ],
    ids=["hexadecimal", "decimal", "boolean", "negative", "version"],
)
async def test_npy_header(client: httpx.AsyncClient, service: Service, content: bytes) -> None:
    response = await client.post(URL, content=content, headers=NPY)
    assert_problem(response, 400, "malformed-body")
    assert not service.worker.jobs


@pytest.mark.parametrize("charset", ["punycode", "undefined", "no-such"])
async def test_charset_of_a_form(client: httpx.AsyncClient, charset: str) -> None:
    body = b'--X\r\nContent-Disposition: form-data; name="model\xff"\r\n\r\ntiny\xff\r\n--X--\r\n'
    kind = {"Content-Type": f"multipart/form-data; boundary=X; charset={charset}"}
    response = await client.post("/v1/likelihoods", content=body, headers=kind)
    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"


async def test_time_that_is_up_before_it_begins(client: httpx.AsyncClient) -> None:
    body = {"model": "tiny", "timeout_s": 1e-9}
    assert_problem(await client.post("/v1/samples", json=body), 504, "deadline-exceeded")


async def test_parameters_beside_a_json_body(client: httpx.AsyncClient) -> None:
    body = {"model": "tiny", "images": []}
    response = await client.post("/v1/likelihoods?draws=4", json=body)
    assert_problem(response, 422, "invalid-request")


async def test_a_solver_without_a_name(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/samples", json={"model": "tiny", "solver": {}})
    assert_problem(response, 422, "invalid-request")
    assert "preset" in response.text


@pytest.mark.parametrize(
    "headers", [[("Accept", "IMAGE/PNG")], [("Accept", "text/html"), ("Accept", "image/png")]]
)
async def test_accept_as_the_standard_reads_it(
    client: httpx.AsyncClient, service: Service, headers: list[tuple[str, str]]
) -> None:
    response = await client.post("/v1/samples", json={"model": "tiny"}, headers=headers)
    assert response.headers["content-type"] == "image/png"
