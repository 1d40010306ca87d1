"""POST /v1/likelihoods: three ways in, one answer, and refusals before any work."""

import base64
import io
import struct
import zlib
from typing import Any

import httpx
import numpy as np
import pytest
from api_double import CONFIG, EXECUTION, Service, assert_problem, manifest, npy, png

from models.schema.scores import Score
from models.schema.specs import Adams
from service.kinds.likelihoods.task import ScoreResult

pytestmark = pytest.mark.anyio

LEVELS = np.array([round(255 * v / 16) for v in range(17)], np.uint8)
TOKENS = np.random.default_rng(0).integers(0, 17, (3, 4, 3, 1), dtype=np.uint8)
PNGS = [png(LEVELS[image[..., 0]]) for image in TOKENS]
NPY = {"Content-Type": "application/x-npy"}


async def post_json(client: httpx.AsyncClient, pngs: list[bytes], **more: Any) -> httpx.Response:
    images = [base64.b64encode(content).decode() for content in pngs]
    return await client.post("/v1/likelihoods", json={"model": "tiny", "images": images} | more)


async def post_npy(client: httpx.AsyncClient, content: bytes, **query: Any) -> httpx.Response:
    params = {"model": "tiny"} | query
    return await client.post("/v1/likelihoods", content=content, headers=NPY, params=params)


async def post_files(
    client: httpx.AsyncClient,
    contents: list[bytes],
    data: dict[str, str] | None = None,
    **query: Any,
) -> httpx.Response:
    files = [("images", (f"{i}", content)) for i, content in enumerate(contents)]
    data = {"model": "tiny"} if data is None else data
    return await client.post("/v1/likelihoods", files=files, data=data, params=query)


async def test_the_answer_has_one_result_an_image(
    client: httpx.AsyncClient, service: Service
) -> None:
    body = (await post_json(client, PNGS, draws=2, probes=4, seed=9)).json()
    job = service.worker.jobs[0]
    assert (body["id"], body["checkpoint"], body["execution"]) == (
        job.id,
        job.checkpoint,
        EXECUTION,
    )
    assert body["settings"] == {
        "draws": 2,
        "probes": 4,
        "trace": "probes",
        "latent": "encoded",
        "tolerance_nats": 0.5,
        "max_evaluations": 2000,
        "seed": 9,
    }
    assert body["timing"].keys() == {"queued_s", "running_s"}
    assert [row["index"] for row in body["results"]] == [0, 1, 2]
    for row, tokens in zip(body["results"], TOKENS, strict=True):
        assert row["status"] == "ok"
        assert "reason" not in row
        assert row["log_px_given_z"] == -10.0 - tokens.sum()
        assert row["trace_standard_error"] is None
        assert row["terms"] == dict.fromkeys(["prior", "log_det", "dequantization", "latent"])
        assert row["nfe"] == 90


async def test_every_way_in_carries_the_same_tokens(
    client: httpx.AsyncClient, service: Service
) -> None:
    fortran = np.asfortranarray(TOKENS)
    responses = [
        await post_json(client, PNGS),
        await post_npy(client, npy(TOKENS)),
        await post_npy(client, npy(fortran)),
        await post_files(client, PNGS),
        await post_files(client, [npy(TOKENS)], data={}, model="tiny"),
        await post_files(client, [PNGS[0], npy(TOKENS[1:])]),
    ]
    assert [response.status_code for response in responses] == [200] * 6
    assert b"'fortran_order': True" in npy(fortran)
    for job in service.worker.jobs:
        np.testing.assert_array_equal(job.task.images, TOKENS)  # type: ignore[union-attr]
    results = [response.json()["results"] for response in responses]
    assert all(result == results[0] for result in results)


async def test_parameters_by_query_and_by_form(client: httpx.AsyncClient) -> None:
    by_query = await post_npy(client, npy(TOKENS), probes="8", tolerance_nats="0.5", seed="3")
    form = {"model": "tiny", "probes": "8", "tolerance_nats": "0.5", "seed": "3"}
    by_form = await post_files(client, PNGS, form)
    assert by_query.json()["settings"] == by_form.json()["settings"]
    assert by_query.json()["settings"]["tolerance_nats"] == 0.5


async def test_a_sample_can_be_scored_without_conversion(
    client: httpx.AsyncClient, service: Service
) -> None:
    sample = (await client.post("/v1/samples", json={"model": "colour", "count": 2})).json()
    images = [image["png"] for image in sample["images"]]
    scored = await client.post("/v1/likelihoods", json={"model": "colour", "images": images})
    assert scored.status_code == 200, scored.text
    headers = {"Accept": "application/x-npy"}
    body = {"model": "colour", "count": 2, "seed": sample["seed"]}
    tokens = (await client.post("/v1/samples", json=body, headers=headers)).content
    np.testing.assert_array_equal(
        service.worker.jobs[1].task.images,  # type: ignore[union-attr]
        np.load(io.BytesIO(tokens)),
    )


async def test_failed_rows_have_a_reason_and_no_number(
    client: httpx.AsyncClient, service: Service
) -> None:
    scores = (Score(nfe=9, reason="too stiff"), Score(nfe=9, log_px_given_z=float("nan")))
    service.worker.answer = lambda job: ScoreResult(scores, EXECUTION)
    response = await post_json(client, PNGS[:2])
    first, second = response.json()["results"]
    assert (first["status"], first["reason"]) == ("failed", "too stiff")
    assert (second["status"], second["reason"]) == ("failed", "the likelihood is not finite")
    assert first["log_px_given_z"] is second["log_px_given_z"] is None
    assert "NaN" not in response.text


def chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises much more than it has."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(1 << 16))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


GREY = LEVELS[TOKENS[0, ..., 0]]
OFF_GRID = GREY.copy()
OFF_GRID[2, 1] = 17
WIDE = np.zeros((4, 4), np.uint8)
COLOURED = np.stack([GREY, GREY, 255 - GREY], -1)


@pytest.mark.parametrize(
    ("content", "status", "code", "words"),
    [
        (png(WIDE), 422, "wrong-image-shape", "[4, 4, 1], expected [4, 3, 1]"),
        (png(COLOURED), 422, "wrong-image-shape", 'Image.open(f).convert("L")'),
        (png(np.dstack([GREY, GREY])), 422, "wrong-image-shape", "LA (8-bit grey with alpha)"),
        (png(GREY.astype(np.uint16)), 422, "wrong-dtype", "16-bit grey"),
        (png(OFF_GRID), 422, "invalid-pixel-value", "pixel value 17 at [2, 1, 0]"),
        (PNGS[0][:-1], 400, "malformed-body", "PNG"),
        (PNGS[0][:-14], 400, "malformed-body", "PNG"),
        (PNGS[0][:20], 400, "malformed-body", "PNG"),
        (PNGS[0][:45] + b"\x00" + PNGS[0][46:], 400, "malformed-body", "PNG"),
        (b"", 400, "malformed-body", "empty"),
        (b"GIF", 400, "malformed-body", "neither"),
        (b"GIF89a", 415, "unsupported-media-type", "but GIF"),
        (npy(TOKENS), 400, "malformed-body", "PNG"),
        (bomb(60_000, 60_000), 413, "image-too-large", "60000x60000"),
        (bomb(3, 4), 400, "malformed-body", "more pixels"),
        (png(np.zeros((1025, 1024), np.uint8)), 413, "image-too-large", "1048576"),
    ],
)
async def test_each_bad_png_is_refused_by_name(
    client: httpx.AsyncClient, service: Service, content: bytes, status: int, code: str, words: str
) -> None:
    response = await post_json(client, [PNGS[1], content])
    problem = assert_problem(response, status, code)
    assert words in str(problem["detail"])
    assert "images" in str(problem["detail"])
    assert not service.worker.jobs


def with_header(shape: str, descr: str = "'|u1'", data: bytes = bytes(36)) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


STRUCTURED = np.zeros((3, 4, 3, 1), [("v", np.uint8)])


@pytest.mark.parametrize(
    ("content", "status", "code", "words"),
    [
        (npy(TOKENS.astype(np.float32)), 422, "wrong-dtype", "float32, expected uint8"),
        (npy(np.full((1, 4, 3, 1), np.nan)), 422, "wrong-dtype", "float64"),
        (npy(TOKENS.astype(np.int64)), 422, "wrong-dtype", "int64"),
        (npy(TOKENS > 3), 422, "wrong-dtype", "bool"),
        (npy(TOKENS.astype(object), allow_pickle=True), 422, "wrong-dtype", "object"),
        (npy(STRUCTURED), 422, "wrong-dtype", "expected uint8"),
        (npy(TOKENS[0]), 422, "wrong-image-shape", "expected [N, H, W, C]"),
        (npy(TOKENS[:, :3]), 422, "wrong-image-shape", "[3, 3, 1], expected [4, 3, 1]"),
        (npy(TOKENS.transpose(0, 3, 1, 2)), 422, "wrong-image-shape", "[1, 4, 3]"),
        (npy(TOKENS + 1), 422, "invalid-pixel-value", "token 17"),
        (npy(TOKENS[:0]), 422, "invalid-request", "at least one image"),
        (npy(np.uint8(3)), 422, "wrong-image-shape", "0 axes"),
        (npy(TOKENS)[:-1], 400, "malformed-body", "36 bytes declared, 35 present"),
        (npy(TOKENS) + b"\0", 400, "malformed-body", "37 present"),
        (npy(TOKENS)[:30], 400, "malformed-body", "header"),
        (npy(TOKENS)[:7], 400, "malformed-body", "header"),
        (with_header("(1000, 40000, 40000, 1)"), 422, "wrong-image-shape", "40000"),
        (with_header("(99999999999999, 4, 3, 1)"), 413, "too-many-images", "99999999999999"),
        (with_header("(-3, 4, 3, 1)"), 400, "malformed-body", "negative"),
        (with_header("(" * 3000), 400, "malformed-body", "header"),
        (with_header("(3, 4, 3, 1)", "'no such'"), 400, "malformed-body", "header"),
        (b"\x93NUMPY\x09\x00" + bytes(99), 400, "malformed-body", ".npy"),
        (PNGS[0], 400, "malformed-body", "not a .npy"),
        (b"", 400, "malformed-body", "empty"),
    ],
)
async def test_each_bad_array_is_refused_by_name(
    client: httpx.AsyncClient, service: Service, content: bytes, status: int, code: str, words: str
) -> None:
    problem = assert_problem(await post_npy(client, content), status, code)
    assert words in str(problem["detail"])
    assert not service.worker.jobs


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"draws": 0}, "draws"),
        ({"draws": 65}, "draws"),
        ({"probes": 65}, "probes"),
        ({"probes": 1.5}, "probes"),
        ({"tolerance_nats": 0}, "tolerance_nats"),
        ({"tolerance_nats": 11}, "tolerance_nats"),
        ({"seed": 2**53}, "seed"),
        ({"solver": {"name": "adams"}}, "solver"),
    ],
)
async def test_parameters_out_of_bounds(
    client: httpx.AsyncClient, service: Service, parameters: dict[str, Any], field: str
) -> None:
    in_json: Any = assert_problem(
        await post_json(client, PNGS, **parameters), 422, "invalid-request"
    )
    in_query: Any = assert_problem(
        await post_npy(client, npy(TOKENS), **parameters), 422, "invalid-request"
    )
    assert [entry["field"] for entry in in_json["errors"]] == [field]
    assert [entry["field"] for entry in in_query["errors"]] == [field]
    assert not service.worker.jobs


async def test_images_are_counted_before_any_is_decoded(
    client: httpx.AsyncClient, service: Service
) -> None:
    many = [b"not even a PNG"] * 1025
    assert_problem(await post_json(client, many), 413, "too-many-images")
    assert_problem(await post_files(client, many), 413, "too-many-images")
    assert_problem(
        await post_files(client, [npy(np.repeat(TOKENS, 300, 0))] * 2), 413, "too-many-images"
    )
    assert_problem(await post_json(client, []), 422, "invalid-request")
    assert not service.worker.jobs


async def test_too_costly_a_request(client: httpx.AsyncClient, service: Service) -> None:
    images = npy(np.repeat(TOKENS, 100, 0))
    response = await post_npy(client, images, draws=8, probes=8, tolerance_nats=0.05)
    problem = assert_problem(response, 422, "request-too-expensive")
    steps = Adams(tolerance_nats=0.05).expected_evaluations
    assert problem["detail"] == (
        f"{300 * 8 * 9 * steps} row-evaluations predicted "
        f"(images x draws x (1 + probes) x steps = 300 x 8 x 9 x {steps}); at most 1000000"
    )
    assert not service.worker.jobs


async def test_an_exact_trace_is_priced_by_the_image_and_refused_for_large_ones(
    client: httpx.AsyncClient, service: Service
) -> None:
    body = (await post_json(client, PNGS, trace="exact", latent="sampled", draws=3)).json()
    settings = body["settings"]
    assert (settings["trace"], settings["probes"]) == ("exact", None)
    assert settings["latent"] == "sampled"
    solver = service.worker.jobs[0].task.solver
    assert solver == Adams(trace="exact", latent="sampled")
    dimensions, steps = TOKENS[0].size, solver.expected_evaluations
    assert service.worker.jobs[0].cost == 3 * 3 * (1 + dimensions) * steps
    large = CONFIG.model_copy(update={"image_shape": (9, 8, 1)})
    service.catalogue.add(manifest("large", large), EXECUTION)
    pngs = [png(np.zeros((9, 8), np.uint8))]
    response = await post_json(client, pngs, model="large", trace="exact")
    problem = assert_problem(response, 422, "invalid-request")
    assert [error["field"] for error in problem["errors"]] == ["trace"]
    assert "72 values" in str(problem["errors"])
    for name in ("trace", "latent"):
        assert_problem(await post_json(client, PNGS, **{name: "other"}), 422, "invalid-request")
    assert len(service.worker.jobs) == 1


async def test_a_truncated_form_is_malformed(client: httpx.AsyncClient, service: Service) -> None:
    request = client.build_request(
        "POST", "/v1/likelihoods", files=[("images", ("0", PNGS[0]))], data={"model": "tiny"}
    )
    whole = request.read()
    for cut in (len(whole) // 2, len(whole) - 4, 0):
        headers = {"Content-Type": request.headers["content-type"]}
        response = await client.post("/v1/likelihoods", content=whole[:cut], headers=headers)
        assert_problem(response, 400, "malformed-body")
    headers = {"Content-Type": "multipart/form-data"}
    response = await client.post("/v1/likelihoods", content=whole, headers=headers)
    assert_problem(response, 400, "malformed-body")
    assert not service.worker.jobs


async def test_a_form_with_surprises(client: httpx.AsyncClient, service: Service) -> None:
    files = [("picture", ("0", PNGS[0]))]
    response = await client.post("/v1/likelihoods", files=files, data={"model": "tiny"})
    assert_problem(response, 422, "invalid-request")
    response = await post_files(client, PNGS, model="tiny")
    assert "more than once" in str(assert_problem(response, 422, "invalid-request")["detail"])
    response = await post_files(client, PNGS, {"model": "tiny", "images": "text"})
    assert_problem(response, 422, "invalid-request")
    response = await post_files(client, PNGS, {"model": "x" * 5000})
    assert_problem(response, 400, "malformed-body")
    assert not service.worker.jobs


async def test_text_that_is_not_base64(client: httpx.AsyncClient) -> None:
    for text in ("not base64!", "abc", "data:image/png;base64,AAAA", "é"):
        body = {"model": "tiny", "images": [text]}
        response = await client.post("/v1/likelihoods", json=body)
        detail = assert_problem(response, 400, "malformed-body")["detail"]
        assert "images[0]" in str(detail)


async def test_likelihoods_are_answered_as_json_alone(client: httpx.AsyncClient) -> None:
    response = await client.post(
        "/v1/likelihoods?model=tiny", content=npy(TOKENS), headers=NPY | {"Accept": "image/png"}
    )
    assert_problem(response, 406, "not-acceptable")


async def test_an_error_stands_in_place_of_probes(
    client: httpx.AsyncClient, service: Service
) -> None:
    body = (await post_json(client, PNGS, standard_error_nats=1, max_evaluations=900)).json()
    settings = body["settings"]
    assert (settings["standard_error_nats"], settings["max_evaluations"]) == (1, 900)
    assert (settings["probes"], settings["tolerance_nats"]) == (4, 0.3)
    job = service.worker.jobs[0]
    assert job.task.standard_error_nats == 1
    assert job.cost == 3 * 900 * (1 + 4)


@pytest.mark.parametrize(
    ("more", "field", "words"),
    [
        ({"standard_error_nats": 1, "probes": 2}, "standard_error_nats", "in place of probes"),
        ({"max_evaluations": 100}, "max_evaluations", "bounds standard_error_nats"),
        ({"standard_error_nats": 0}, "standard_error_nats", "greater than or equal"),
    ],
)
async def test_an_error_and_probes_do_not_go_together(
    client: httpx.AsyncClient, more: dict[str, Any], field: str, words: str
) -> None:
    response = await post_json(client, PNGS, **more)
    assert_problem(response, 422, "invalid-request")
    assert field in response.text
    assert words in response.text
    in_query = await post_npy(client, npy(TOKENS), **more)
    assert in_query.status_code == 422
