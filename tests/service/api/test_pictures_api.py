"""Images as people have them: the same pixels have the same score, however they are sent."""

import base64
import io
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import numpy as np
import pytest
from api_double import CONFIG, EXECUTION, Service, assert_problem, manifest, npy, png
from PIL import Image
from png_writer import chunk, exif, ihdr, write_png

pytestmark = pytest.mark.anyio

SHAPE = (28, 28, 1)
DICE = np.random.default_rng(0)
# Of 16 levels, each a multiple of 17, so that a palette and four bits can hold it too.
DIGIT = (17 * DICE.integers(0, 16, SHAPE[:2])).astype(np.uint8)
INK = np.where(DIGIT > 127, 255, 0).astype(np.uint8)
COLOURED = np.dstack([DIGIT, 255 - DIGIT, DIGIT])


def stored(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def canvas(alpha: np.ndarray) -> bytes:
    return stored(Image.fromarray(np.dstack([DIGIT, DIGIT, DIGIT, alpha]), "RGBA"))


def imagemagick(values: np.ndarray, depth: int) -> bytes:
    """With what it writes around the pixels."""
    notes = [
        chunk(b"gAMA", (45455).to_bytes(4, "big")),
        chunk(b"bKGD", bytes(2)),
        chunk(b"tIME", bytes(7)),
        chunk(b"tEXt", b"date:create\x002025-01-01T00:00:00+00:00"),
    ]
    return write_png(values[..., None], depth, 0, before=notes[:3], after=notes[3:])


GREY = Image.fromarray(DIGIT)
OPAQUE = np.full(SHAPE[:2], 255, np.uint8)
SAME = {
    "torchvision, OpenCV": stored(GREY.convert("RGB")),
    "matplotlib, canvas": canvas(OPAQUE),
    "LA": stored(GREY.convert("LA")),
    "palette": stored(GREY.convert("P")),
    "palette of 16": stored(GREY.quantize(16), bits=4),
    "palette, opaque tRNS": stored(GREY.convert("P"), transparency=b"\xff" * 256),
    "4 bits": imagemagick(DIGIT // 17, 4),
    "interlaced": write_png(DIGIT[..., None], 8, 0, interlaced=True),
    "optimised": stored(GREY.convert("RGB"), optimize=True),
    "in many pieces": write_png(DIGIT[..., None], 8, 0, pieces=30),
    "upright by EXIF": write_png(DIGIT[..., None], 8, 0, before=[chunk(b"eXIf", exif(1))]),
    "on its side by EXIF": write_png(
        np.rot90(DIGIT)[..., None], 8, 0, before=[chunk(b"eXIf", exif(6))]
    ),
    "an unused transparent level": stored(GREY, transparency=1),
    "with a profile": stored(GREY, icc_profile=b"profile" * 100, dpi=(72, 72)),
}
BILEVEL = {
    "1": stored(Image.fromarray(INK).convert("1")),
    "palette of 2": stored(Image.fromarray(INK).quantize(2), bits=1),
    "RGBA": stored(Image.fromarray(INK).convert("RGBA")),
}
REFUSED = {
    "transparent background": (canvas(DIGIT), "wrong-image-shape", "RGBA"),
    "one pixel nearly opaque": (
        canvas(np.where(np.arange(784).reshape(28, 28) == 9, 254, 255).astype(np.uint8)),
        "wrong-image-shape",
        "RGBA",
    ),
    "transparent level": (stored(GREY, transparency=0), "wrong-image-shape", "transparent"),
    "transparent place in a palette": (
        stored(GREY.convert("P"), transparency=0),
        "wrong-image-shape",
        "P (8-bit palette)",
    ),
    "16 bits": (stored(Image.fromarray(DIGIT.astype(np.uint16) * 257)), "wrong-dtype", "I;16"),
    "colours": (png(COLOURED), "wrong-image-shape", 'convert("L")'),
    "colours in a palette": (
        stored(Image.fromarray(COLOURED).quantize(8)),
        "wrong-image-shape",
        "P",
    ),
}


@pytest.fixture
def service(service: Service) -> Service:
    """With models of 28 by 28, grey and in colour."""
    for name, channels in (("grey", 1), ("rgb", 3)):
        shape = (*SHAPE[:2], channels)
        config = CONFIG.model_copy(update={"image_shape": shape, "vocabulary": 256})
        service.catalogue.add(manifest(name, config), EXECUTION)
    service.worker.checkpoints += [model.checkpoint for model in service.catalogue]
    return service


async def ask(
    client: httpx.AsyncClient, contents: Sequence[bytes], model: str = "grey"
) -> httpx.Response:
    images = [base64.b64encode(content).decode() for content in contents]
    return await client.post("/v1/likelihoods", json={"model": model, "images": images})


def scored(service: Service) -> np.ndarray:
    task = service.worker.jobs[-1].task
    return task.images  # type: ignore[union-attr]


async def test_the_same_pixels_are_taken_for_the_same(
    client: httpx.AsyncClient, service: Service
) -> None:
    for forms, expected in ((SAME, DIGIT), (BILEVEL, INK)):
        response = await ask(client, [png(expected), *forms.values()])
        assert response.status_code == 200, response.text
        for name, found in zip(("plain", *forms), scored(service), strict=True):
            np.testing.assert_array_equal(found[..., 0], expected, err_msg=name)
        assert len({row["log_px_given_z"] for row in response.json()["results"]}) == 1


async def test_grey_is_taken_for_equal_colours(client: httpx.AsyncClient, service: Service) -> None:
    opaque = np.dstack([COLOURED, OPAQUE])
    forms = [png(COLOURED), stored(Image.fromarray(opaque, "RGBA")), *SAME.values()]
    response = await ask(client, forms, "rgb")
    assert response.status_code == 200, response.text
    for number, found in enumerate(scored(service)):
        np.testing.assert_array_equal(found, COLOURED if number < 2 else np.dstack([DIGIT] * 3))


@pytest.mark.parametrize("name", REFUSED)
async def test_what_would_lose_something_is_refused(
    client: httpx.AsyncClient, service: Service, name: str
) -> None:
    content, code, words = REFUSED[name]
    problem = assert_problem(await ask(client, [png(DIGIT), content]), 422, code)
    assert words in str(problem["detail"])
    assert "expected" in str(problem["detail"])
    assert "Image.open(f)" in str(problem["detail"])
    assert [error["field"] for error in problem["errors"]] == ["images[1]"]  # type: ignore[attr-defined]
    assert not service.worker.jobs


async def test_what_is_taken_is_still_judged_by_its_levels(
    client: httpx.AsyncClient, service: Service
) -> None:
    """The model has 17 levels: 0 and 255 are among them, 17 is not."""
    ink = (255 * DICE.integers(0, 2, (4, 3))).astype(np.uint8)
    for mode in ("1", "P", "LA", "RGB", "RGBA"):
        assert (await ask(client, [png(ink, mode)], "tiny")).status_code == 200
        np.testing.assert_array_equal(scored(service)[0, ..., 0], ink // 255 * 16)
    off = np.where(ink == 255, 17, 0).astype(np.uint8)
    off[0, 0] = 17
    for mode in ("P", "LA", "RGB", "RGBA"):
        problem = assert_problem(
            await ask(client, [png(off, mode)], "tiny"), 422, "invalid-pixel-value"
        )
        assert "pixel value 17 at [0, 0, 0]" in str(problem["detail"])


@pytest.mark.parametrize("path", ["/v1/likelihoods", "/v1/anomalies"])
async def test_a_file_as_the_body(client: httpx.AsyncClient, service: Service, path: str) -> None:
    dark = np.zeros((4, 3), np.uint8)
    for kind in ("image/png", "IMAGE/PNG", "image/png; name=a.png"):
        response = await client.post(
            path,
            content=png(dark, "RGBA"),
            headers={"Content-Type": kind},
            params={"model": "tiny", "seed": "3"},
        )
        assert response.status_code == 200, response.text
        assert response.json()["settings"]["seed"] == 3
        assert scored(service).shape == (1, 4, 3, 1)


async def test_a_body_that_is_not_what_it_says(client: httpx.AsyncClient) -> None:
    async def post(content: bytes, kind: str, **query: str) -> httpx.Response:
        return await client.post(
            "/v1/likelihoods",
            content=content,
            headers={"Content-Type": kind},
            params={"model": "tiny"} | query,
        )

    dark = np.zeros((1, 4, 3, 1), np.uint8)
    assert_problem(await post(npy(dark), "image/png"), 400, "malformed-body")
    assert_problem(await post(png(dark[0, ..., 0]), "application/x-npy"), 400, "malformed-body")
    assert_problem(await post(b"", "image/png"), 400, "malformed-body")
    assert_problem(await post(b"", "image/jpeg"), 400, "malformed-body")
    for kind in ("image/gif", "image/*", "image/", "application/octet-stream"):
        problem = assert_problem(await post(b"", kind), 415, "unsupported-media-type")
        assert "image/png" in str(problem["detail"])
    picture = png(dark[0, ..., 0])
    assert_problem(await post(picture, "image/png", draws="0"), 422, "invalid-request")
    assert_problem(await post(picture, "image/png", unknown="0"), 422, "invalid-request")


OTHERS = {
    "JPEG": lambda image, file: image.save(file, "JPEG"),
    "GIF": lambda image, file: image.save(file, "GIF"),
    "BMP": lambda image, file: image.save(file, "BMP"),
    "TIFF": lambda image, file: image.save(file, "TIFF"),
    "WebP": lambda image, file: image.save(file, "WEBP"),
    "PNM": lambda image, file: image.save(file, "PPM"),
    "JPEG 2000": lambda image, file: image.save(file, "JPEG2000"),
    "PDF": lambda image, file: image.save(file, "PDF"),
    "ZIP": lambda image, file: np.savez(file, np.asarray(image)),
    "SVG": lambda image, file: file.write(b'<?xml version="1.0"?>\n<svg/>'),
}


@pytest.mark.parametrize("name", OTHERS)
async def test_other_formats_are_named(client: httpx.AsyncClient, name: str) -> None:
    file = io.BytesIO()
    write: Callable[[Image.Image, io.BytesIO], Any] = OTHERS[name]
    write(GREY, file)
    problem = assert_problem(
        await ask(client, [png(DIGIT), file.getvalue()]), 415, "unsupported-media-type"
    )
    assert str(problem["detail"]).startswith("images[1]: neither a PNG nor a .npy but")
    assert name in str(problem["detail"])


BOUNDARY = "frontier"


async def post_parts(client: httpx.AsyncClient, *parts: tuple[str, bytes]) -> httpx.Response:
    """A form of parts, each with the rest of its Content-Disposition."""
    lines = [
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {said}\r\n\r\n".encode() + data + b"\r\n"
        for said, data in parts
    ]
    return await client.post(
        "/v1/likelihoods",
        params={"model": "grey"},
        content=b"".join(lines) + f"--{BOUNDARY}--\r\n".encode(),
        headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
    )


@pytest.mark.parametrize(
    "said",
    [
        'name="images"; filename="a.png"',
        'name="images"',
        "name=images",
        'name="images"; filename=""',
        "name=\"images\"; filename*=UTF-8''%e2%82%ac%20.png",
        'name="images"; filename="a.png"; filename*=UTF-8\'\'%e2%82%ac.png',
        "name=\"images\"; FileName*=utf-8'en'a.png",
    ],
)
async def test_a_file_needs_no_name(client: httpx.AsyncClient, service: Service, said: str) -> None:
    """The second file is longer than a text field may be."""
    large = npy(np.broadcast_to(DIGIT[None, ..., None], (8, *SHAPE)))
    assert len(large) > 4096
    response = await post_parts(client, (said, png(DIGIT)), (said, large))
    assert response.status_code == 200, response.text
    assert scored(service).shape == (9, *SHAPE)


@pytest.mark.parametrize(
    ("said", "data", "status", "code", "words"),
    [
        ('name="images"', b"text", 422, "invalid-request", "images[0]: is not a file"),
        ('name="images"', b"", 422, "invalid-request", "images[0]: is not a file"),
        ('name="images"', b"GIF89a", 415, "unsupported-media-type", "but GIF"),
        ('name="images"; filename="a"', b"text", 400, "malformed-body", "images[0]: neither"),
        ("name=\"other\"; filename*=UTF-8''a.png", b"text", 422, "invalid-request", "images"),
    ],
)
async def test_a_part_that_is_no_image_is_told_so(
    client: httpx.AsyncClient, said: str, data: bytes, status: int, code: str, words: str
) -> None:
    problem = assert_problem(await post_parts(client, (said, data)), status, code)
    assert words in str(problem["detail"])


@pytest.mark.parametrize("kind", [b"prVt", b"tEXt", b"IDAT"])
async def test_a_million_chunks_cost_nothing(
    client: httpx.AsyncClient, service: Service, kind: bytes
) -> None:
    first, rest = ihdr(28, 28), png(DIGIT)[33:]
    content = png(DIGIT)[:8] + first + chunk(kind) * 1_300_000 + rest
    files = [("images", ("a.png", content))]
    response = await client.post("/v1/likelihoods", files=files, data={"model": "grey"})
    problem = assert_problem(response, 413, "image-too-large")
    assert "for 28x28 pixels" in str(problem["detail"])
    assert not service.worker.jobs


async def test_an_animation_is_no_picture(client: httpx.AsyncClient) -> None:
    frames = [GREY, Image.fromarray(255 - DIGIT)]
    content = stored(frames[0], save_all=True, append_images=frames[1:])
    problem = assert_problem(await ask(client, [content]), 400, "malformed-body")
    assert "animated" in str(problem["detail"])
