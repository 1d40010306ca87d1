"""JSON that is wrong, or written in an unusual way: told shortly, and never at length."""

import codecs
import json
from typing import Any

import httpx
import pytest
from api_double import Service, assert_problem

pytestmark = pytest.mark.anyio

PATHS = ("/v1/samples", "/v1/likelihoods", "/v1/anomalies", "/v1/jobs")
LONG = "secret" * 20_000


async def send(client: httpx.AsyncClient, path: str, body: bytes | str) -> httpx.Response:
    headers = {"Content-Type": "application/json"}
    return await client.post(path, content=body, headers=headers)


async def refused(
    client: httpx.AsyncClient, path: str, body: bytes | str, status: int = 422
) -> dict[str, Any]:
    """A problem that is short whatever the body, and does not repeat it."""
    response = await send(client, path, body)
    code = {400: "malformed-body", 422: "invalid-request"}[status]
    problem = assert_problem(response, status, code)
    assert len(response.content) < 10_000
    assert LONG[:100] not in response.text
    return problem


def job(request: str) -> str:
    return f'{{"kind": "samples", "request": {request}}}'


@pytest.mark.parametrize("faults", [1, 20, 21, 5000])
@pytest.mark.parametrize("path", ["/v1/samples", "/v1/jobs"])
async def test_faults_are_listed_up_to_a_number(
    client: httpx.AsyncClient, path: str, faults: int
) -> None:
    body = json.dumps({"model": "tiny", **{f"x{number}": 1 for number in range(faults)}})
    problem = await refused(client, path, job(body) if path == "/v1/jobs" else body)
    assert len(problem["errors"]) == min(faults, 20)
    assert problem["errors"][0]["field"].endswith("x0")
    left_out = f"and {faults - 20} more"
    assert problem["detail"].endswith(left_out) == (faults > 20)


@pytest.mark.parametrize("item", ["1", "null", "{}", "[]", "[[1]]", "true", "-1.5"])
async def test_a_list_has_its_first_fault_told(client: httpx.AsyncClient, item: str) -> None:
    images = ", ".join(['"AAAA"', *[item] * 1000])
    for path in ("/v1/likelihoods", "/v1/anomalies"):
        problem = await refused(client, path, f'{{"model": "tiny", "images": [{images}]}}')
        assert [entry["field"] for entry in problem["errors"]] == ["images[1]"]
    latent = ", ".join(["0", *['"a"'] * 1000])
    problem = await refused(client, "/v1/samples", f'{{"model": "tiny", "latent": [{latent}]}}')
    assert [entry["field"] for entry in problem["errors"]] == ["latent"]


@pytest.mark.parametrize(
    ("start", "piece", "end"),
    [
        ('{"model": "tiny", "images": [1', ", 1", "]}"),
        ('{"model": "tiny", "images": [""', ', ""', "]}"),
        ('{"model": "tiny", "latent": ["a"', ', "a"', "]}"),
        ('{"model": "tiny"', ', "x": 1', "}"),
        ('{"model": "tiny"', ', "model": "tiny"', "}"),
        ("[1", ",1", "]"),
    ],
)
async def test_more_values_than_any_request_has_are_not_looked_at(
    client: httpx.AsyncClient, service: Service, start: str, piece: str, end: str
) -> None:
    for path in PATHS:
        problem = await refused(client, path, start + piece * 100_000 + end)
        assert "values" in problem["detail"]
    assert not service.worker.jobs


async def test_as_many_images_as_a_request_may_have_are_looked_at(
    client: httpx.AsyncClient,
) -> None:
    commas = "data:image/png;base64,AAAA"
    response = await client.post(
        "/v1/likelihoods", json={"model": "tiny", "images": [commas] * 1024}
    )
    assert "values" not in response.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        '{"model": "LONG"}',
        '{"LONG": 1}',
        '{"model": "tiny", "LONG": 1, "LONG": 2}',
        '{"model": "tiny", "solver": {"name": "LONG"}}',
        '{"model": "tiny", "solver": {"name": "ddpm", "LONG": 1}}',
        '{"model": "tiny", "solver": {"preset": "LONG"}}',
        '{"model": "tiny", "solver": "LONG"}',
        '{"model": "tiny", "latent": "LONG"}',
        '{"model": "tiny", "latent": ["LONG"]}',
        '{"model": "tiny", "seed": "LONG"}',
        '{"model": "tiny", "priority": "LONG"}',
        '"LONG"',
    ],
)
async def test_what_came_in_does_not_go_out_again(client: httpx.AsyncClient, body: str) -> None:
    body = body.replace("LONG", LONG)
    await refused(client, "/v1/samples", body)
    await refused(client, "/v1/jobs", job(body))
    await refused(client, "/v1/jobs", f'{{"kind": "{LONG}", "request": {body}}}')


async def test_a_solver_of_no_name_of_ours_is_told_those_there_are(
    client: httpx.AsyncClient,
) -> None:
    problem = await refused(client, "/v1/samples", '{"model": "tiny", "solver": {"name": "xyz"}}')
    assert "'ddpm'" in problem["detail"]
    assert "xyz" not in problem["detail"]


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        ("/v1/samples", '{"model": "tiny", "model": "tiny"}', "model"),
        ("/v1/samples", '{"model": "tiny", "seed": 1, "seed": 2}', "seed"),
        ("/v1/samples", '{"model": "tiny", "seed": 1, "s\\u0065ed": 2}', "seed"),
        ("/v1/samples", '{"model": "tiny", "x": 1, "x": 2}', "x"),
        ("/v1/samples", '{"model": "tiny", "solver": {"name": "ddpm", "name": "ddim"}}', "name"),
        ("/v1/likelihoods", '{"model": "tiny", "images": [], "images": []}', "images"),
        ("/v1/anomalies", '{"model": "tiny", "alpha": 0.5, "images": [], "alpha": 0.1}', "alpha"),
        ("/v1/jobs", '{"kind": "samples", "request": {"model": "a", "model": "b"}}', "model"),
        ("/v1/jobs", '{"kind": "samples", "kind": "samples", "request": {"model": "a"}}', "kind"),
    ],
)
@pytest.mark.parametrize("padding", [0, 20_000])
async def test_a_name_that_comes_twice_is_refused(
    client: httpx.AsyncClient, service: Service, path: str, body: str, name: str, padding: int
) -> None:
    problem = await refused(client, path, body + " " * padding)
    assert problem["errors"] == [{"field": name, "message": "is given more than once"}]
    assert not service.worker.jobs


async def test_one_name_in_two_objects_comes_once(client: httpx.AsyncClient) -> None:
    body = '{"kind": "samples", "request": {"model": "tiny", "solver": {"name": "ddpm"}}}'
    assert (await send(client, "/v1/jobs", body)).status_code == 202


@pytest.mark.parametrize("padding", [0, 20_000])
async def test_a_byte_order_mark_is_skipped(client: httpx.AsyncClient, padding: int) -> None:
    body = codecs.BOM_UTF8 + b'{"model": "tiny"}' + b" " * padding
    assert (await send(client, "/v1/samples", body)).status_code == 200
    queued = codecs.BOM_UTF8 + b'{"kind": "samples", "request": {"model": "tiny"}}'
    assert (await send(client, "/v1/jobs", queued)).status_code == 202
    twice = codecs.BOM_UTF8 * 2 + b'{"model": "tiny"}'
    await refused(client, "/v1/samples", twice, 400)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
async def test_json_is_utf_8(client: httpx.AsyncClient, encoding: str) -> None:
    body = '{"model": "é"}'.encode(encoding)
    if encoding == "utf-8-sig":
        assert (await send(client, "/v1/samples", body)).status_code == 404
    else:
        await refused(client, "/v1/samples", body, 400)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b'{"model": "\xe9"}',
        b'{"model": "\xed\xa0\x80"}',
        b'{"model": "\\ud800"}',
        b'{"model": "tiny\x00"}',
        b'{"model": "tiny", "seed": 01}',
        b'{"model": "tiny"} {"model": "tiny"}',
        b"{'model': 'tiny'}",
    ],
)
async def test_what_is_no_json(client: httpx.AsyncClient, body: bytes) -> None:
    for path in PATHS:
        await refused(client, path, body, 400)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
async def test_what_is_too_deep(client: httpx.AsyncClient, opening: str) -> None:
    for path in PATHS:
        for times in (1000, 100_000):
            await refused(client, path, opening * times, 400)


@pytest.mark.parametrize("seed", ["1", "-9", "1e", "0.1", "NaN", "Infinity"])
async def test_numbers_that_are_none(client: httpx.AsyncClient, seed: str) -> None:
    seed += seed[-1] * 100_000 if seed[-1].isdecimal() else ""
    response = await send(client, "/v1/samples", f'{{"model": "tiny", "seed": {seed}}}')
    assert response.status_code in (400, 422)
    assert len(response.content) < 1000


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({}, "kind", "is missing"),
        ({"kind": "dreams", "request": {}}, "kind", "should be one of 'samples', 'likelihoods'"),
        ({"kind": "samples"}, "request", "Field required"),
        ({"kind": "likelihoods", "request": {"model": "tiny"}}, "request.images", "required"),
        ({"kind": "samples", "request": {"model": "tiny", "solver": {"name": "ddpm", "steps": 0}}},
         "request.solver.steps", "greater than"),
    ],
)  # fmt: skip
async def test_faults_have_the_names_that_the_client_wrote(
    client: httpx.AsyncClient, body: dict[str, Any], field: str, words: str
) -> None:
    problem = await refused(client, "/v1/jobs", json.dumps(body))
    assert [entry["field"] for entry in problem["errors"]] == [field]
    assert words in problem["errors"][0]["message"]


async def test_a_query_beside_a_body_is_not_passed_over(
    client: httpx.AsyncClient, service: Service
) -> None:
    for path, body in (
        ("/v1/samples", '{"model": "tiny"}'),
        ("/v1/jobs", job('{"model": "tiny"}')),
    ):
        problem = await refused(client, f"{path}?seed=3", body)
        assert problem["detail"] == "seed: goes into the JSON body, not into the query"
    assert not service.worker.jobs
