"""Forms as clients write them: images with a file name in either syntax, or with none."""

import httpx
import numpy as np
import pytest
from api_double import Service, assert_problem, npy, png

pytestmark = pytest.mark.anyio

IMAGE = png(np.zeros((4, 3), np.uint8))
ARRAY = npy(np.zeros((2, 4, 3, 1), np.uint8))
KIND = "multipart/form-data; boundary=frontier"
MODEL = b'form-data; name="model"', b"tiny"


def form(*parts: tuple[bytes, bytes], boundary: bytes = b"frontier") -> bytes:
    """A form of parts, each a Content-Disposition and a content."""
    written = (
        b"--%b\r\nContent-Disposition: %b\r\n\r\n%b\r\n" % (boundary, disposition, content)
        for disposition, content in parts
    )
    return b"".join(written) + b"--%b--\r\n" % boundary


async def send(client: httpx.AsyncClient, body: bytes, kind: str = KIND) -> httpx.Response:
    return await client.post("/v1/likelihoods", content=body, headers={"Content-Type": kind})


@pytest.mark.parametrize(
    "disposition",
    [
        b'form-data; name="images"; filename="a.png"',
        b"form-data; name=images; filename=a.png",
        b"form-data; name=\"images\"; filename*=UTF-8''%E2%82%AC.png",
        b"form-data; filename*=iso-8859-1'en'a.png; name=\"images\"",
        b'form-data; name="images"; filename="a.png"; filename*=UTF-8\'\'b.png',
        b'form-data; name="images"; filename*=no-such-charset\'',
        b'form-data; name="images"; filename=""',
        b'form-data; name="images"',
        b'FORM-DATA; NAME="images"',
    ],
)
@pytest.mark.parametrize(("content", "count"), [(IMAGE, 1), (ARRAY, 2)], ids=["PNG", "npy"])
async def test_an_image_is_read_whatever_its_file_name(
    client: httpx.AsyncClient, disposition: bytes, content: bytes, count: int
) -> None:
    response = await send(client, form(MODEL, (disposition, content), (disposition, content)))
    assert response.status_code == 200, response.text
    assert len(response.json()["results"]) == 2 * count


@pytest.mark.parametrize("text", [b"iVBORw0KGgo=", b"text", b""])
async def test_text_for_an_image_is_told_what_it_should_be(
    client: httpx.AsyncClient, text: bytes
) -> None:
    response = await send(client, form(MODEL, (b'form-data; name="images"', text)))
    problem = assert_problem(response, 422, "invalid-request")
    assert "is not a file; PNG and .npy are read" in str(problem["detail"])


async def test_a_file_of_another_name_is_named(client: httpx.AsyncClient) -> None:
    for more in (b'filename="a"', b"filename*=UTF-8''a"):
        response = await send(client, form(MODEL, (b'form-data; name="picture"; ' + more, IMAGE)))
        problem = assert_problem(response, 422, "invalid-request")
        assert problem["errors"][0]["field"] == "picture"  # type: ignore[index]


@pytest.mark.parametrize(
    "body",
    [
        form((b'form-data; name="model"', b"tiny\xff")),
        form((b"form-data", b"tiny")),
        form((b'form-data; name="mod\xff"', b"tiny")),
        form(MODEL).replace(b"Content-Disposition", b"X-Disposition"),
        form(MODEL).replace(b"\r\n", b"\n"),
        form(MODEL)[:-10],
        form(MODEL, boundary=b"another"),
        b"--frontier\r\n" + b"a" * 10_000 + b": b\r\n\r\n\r\n--frontier--\r\n",
        b"--frontier\r\n" + b"a: b\r\n" * 1000 + b"\r\n\r\n--frontier--\r\n",
        form(*[(b'form-data; name="x%d"' % number, b"") for number in range(5000)]),
        b"",
    ],
)
async def test_a_damaged_form(client: httpx.AsyncClient, service: Service, body: bytes) -> None:
    response = await send(client, body)
    assert_problem(response, 400, "malformed-body")
    assert len(response.content) < 1000
    assert not service.worker.jobs


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 10_000,
    ],
)
async def test_a_boundary_that_is_none(client: httpx.AsyncClient, kind: str) -> None:
    assert_problem(await send(client, form(MODEL), kind), 400, "malformed-body")


async def test_too_many_parameters(client: httpx.AsyncClient) -> None:
    query = "&".join(f"x{number}=1" for number in range(5000))
    response = await client.post(
        f"/v1/likelihoods?{query}", content=ARRAY, headers={"Content-Type": "application/x-npy"}
    )
    assert_problem(response, 422, "invalid-request")
    assert len(response.content) < 1000


async def test_more_images_than_may_be(client: httpx.AsyncClient, service: Service) -> None:
    images = [(b'form-data; name="images"', IMAGE)] * 1025
    response = await send(client, form(MODEL, *images))
    assert_problem(response, 413, "too-many-images")
    assert not service.worker.jobs
