"""`class_label`: which answers name it, what is refused, where the number of classes is told."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from api_double import EXECUTION, Service, assert_problem, npy, png
from infer_bodies import tensor
from small_calibration import small_calibration
from tiny_classes import CLASSES
from tiny_classes import CONFIG as WITH_CLASSES

from models.schema.manifest import Manifest
from models.schema.scores import Score
from models.schema.specs import FlowPath
from service.jobs import Job, Outcome
from service.kinds.anomalies.task import AnomalyTask
from service.kinds.likelihoods.task import ScoreResult, ScoreTask
from service.kinds.samples.task import SampleResult, SampleTask
from service.settings import Settings

pytestmark = pytest.mark.anyio

CLASSY = Manifest(
    name="classy", config=WITH_CLASSES, sha256="c" * 64, parameters=WITH_CLASSES.parameters
)
CALIBRATED = small_calibration(CLASSY.sha256, WITH_CLASSES, FlowPath(class_label=2))
TWO = npy(np.zeros((2, 8, 8, 1), np.uint8))
NPY = {"Content-Type": "application/x-npy"}
BLACK = png(np.zeros((8, 8), np.uint8))
B64 = base64.b64encode(BLACK).decode()
KEY = {"Idempotency-Key": "once"}


def compute(job: Job) -> Outcome:
    """Answer as a worker would: drawn classes go 4, 3, 2, …"""
    task = job.task
    if isinstance(task, SampleTask):
        labels = task.labels or tuple(-(i + 1) % CLASSES for i in range(task.count))
        images = np.zeros((task.count, 8, 8, 1), np.uint8)
        latents = tuple((label,) for label in labels)
        return SampleResult(images, (8,) * task.count, (None,) * task.count, latents, EXECUTION)
    assert isinstance(task, ScoreTask)
    by_class = None if task.labels else tuple(-10.0 - label for label in range(CLASSES))
    given = -10.0 if task.labels else None
    score = Score(90, given, -11.0, 1.5, log_px_given_class=by_class)
    return ScoreResult((score,) * len(task.images), EXECUTION)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    service.catalogue.add(CLASSY, EXECUTION, CALIBRATED)
    service.worker.checkpoints.append(CLASSY.sha256)
    service.worker.answer = compute
    async with service.client() as client:
        yield client


async def samples(client: httpx.AsyncClient, **more: Any) -> httpx.Response:
    return await client.post("/v1/samples", json={"model": "classy", "count": 3, "seed": 1, **more})


def labels_in(response: httpx.Response, of: str = "images") -> list[int | None]:
    assert response.status_code == 200, response.text
    return [one.get("class_label") for one in response.json()[of]]


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, [4, 3, 2]), (None, [4, 3, 2]), (0, [0, 0, 0]), ([1, 4, 0], [1, 4, 0]), ([3], [3, 3, 3])],
)
async def test_images_name_their_class(
    client: httpx.AsyncClient, service: Service, given: Any, expected: list[int]
) -> None:
    answer = await samples(client, **({} if given == {} else {"class_label": given}))
    assert labels_in(answer) == expected
    assert all(image["latent"] == [] for image in answer.json()["images"])
    (job,) = service.worker.jobs
    assert isinstance(job.task, SampleTask)
    assert job.task.labels == (tuple(expected) if given not in ({}, None) else None)


async def test_images_without_json_name_it_in_a_header(client: httpx.AsyncClient) -> None:
    for accept in "image/png", "application/x-npy":
        answer = await client.post(
            "/v1/samples",
            json={"model": "classy", "count": 3, "class_label": [1, 4, 0]},
            headers={"Accept": accept},
        )
        assert answer.headers["x-mulan-class-labels"] == "1,4,0"
    # No header is longer than what proxies take.
    many = {"model": "classy", "count": 1024, "solver": {"name": "ddim", "steps": 1}}
    answer = await client.post("/v1/samples", json=many, headers={"Accept": "application/x-npy"})
    assert len(answer.headers["x-mulan-class-labels"]) < 4096


BAD: dict[str, tuple[Any, str]] = {
    "text": ("3", "should be a class, 0 or more, or a list"),
    "a truth value": (True, "should be a class, 0 or more"),
    "half": (0.5, "should be a class, 0 or more"),
    "a whole number with a point": (1.0, "should be a class, 0 or more"),
    "negative": (-1, "should be a class, 0 or more"),
    "an object": ({"name": 3}, "should be a class, 0 or more"),
    "negative in a list": ([0, -1, 2], "should be a class, 0 or more"),
    "truth values in a list": ([True, False, True], "should be a class, 0 or more"),
    "text in a list": (["0", "1", "2"], "should be a class, 0 or more"),
    "too large": (5, "should be below 5, the number of classes of classy"),
    "far too large": (10**40, "should be below 5"),
    "too large in a list": ([0, 1, 5], "should be below 5"),
    "too few": ([0, 1], "one for each image: 2 for 3 images"),
    "too many": ([0, 1, 2, 3], "one for each image: 4 for 3 images"),
    "none in the list": ([], "one for each image: 0 for 3 images"),
}


@pytest.mark.parametrize("fault", BAD)
async def test_what_is_no_class_is_refused(
    client: httpx.AsyncClient, service: Service, fault: str
) -> None:
    given, words = BAD[fault]
    refusals = [
        await samples(client, class_label=given),
        await client.post(
            "/v1/jobs",
            json={
                "kind": "samples",
                "request": {"model": "classy", "count": 3, "class_label": given},
            },
        ),
        await client.post(
            "/v1/likelihoods", json={"model": "classy", "images": [B64] * 3, "class_label": given}
        ),
    ]
    for refusal in refusals:
        problem: Any = assert_problem(refusal, 422, "invalid-request")
        (entry,) = problem["errors"]
        assert entry["field"].endswith("class_label")
        assert words in entry["message"]
        assert len(refusal.content) < 1000
    assert not service.worker.jobs


async def test_a_model_without_classes_takes_none(
    client: httpx.AsyncClient, service: Service
) -> None:
    array = npy(np.zeros((1, 4, 3, 1), np.uint8))
    for path in "/v1/likelihoods", "/v1/anomalies":
        refusal = await client.post(
            path, params={"model": "tiny", "class_label": 0}, content=array, headers=NPY
        )
        problem: Any = assert_problem(refusal, 422, "invalid-request")
        assert problem["errors"] == [
            {"field": "class_label", "message": "should be left out: tiny has no classes"}
        ]
    refusal = await client.post("/v1/samples", json={"model": "tiny", "class_label": 0})
    problem = assert_problem(refusal, 422, "invalid-request")
    assert problem["errors"][0]["field"] == "class_label"
    assert not service.worker.jobs


async def test_a_class_is_not_named_as_a_latent(client: httpx.AsyncClient) -> None:
    problem = assert_problem(await samples(client, latent=[3]), 422, "invalid-request")
    assert "latent: should be left out" in str(problem["detail"])


async def test_answers_of_models_without_classes_are_as_before(service: Service) -> None:
    array = npy(np.zeros((1, 4, 3, 1), np.uint8))
    async with service.client() as client:
        answers = [
            await client.post("/v1/samples", json={"model": "tiny"}),
            await client.post("/v1/likelihoods?model=tiny", content=array, headers=NPY),
            await client.post("/v1/anomalies?model=tiny", content=array, headers=NPY),
            await client.get("/v1/models/tiny"),
            await client.get("/v1/models"),
            await client.get("/v2/models/tiny"),
            await client.get("/v2/models/tiny/config"),
            await client.post("/v2/models/tiny/infer", json={"inputs": []}),
        ]
        form = {"Accept": "application/x-npy"}
        data = await client.post("/v1/samples", json={"model": "tiny"}, headers=form)
    for answer in answers:
        assert answer.status_code == 200
        assert "class" not in answer.text
    assert "x-mulan-class-labels" not in data.headers


@pytest.mark.parametrize(
    ("given", "expected"), [("1", [1, 1]), ("1,3", [1, 3]), (None, [None, None])]
)
async def test_likelihoods_in_every_form_of_a_body(
    client: httpx.AsyncClient, service: Service, given: str | None, expected: list[int | None]
) -> None:
    query = {"model": "classy"} | ({} if given is None else {"class_label": given})
    written: Any = None if given is None else [int(one) for one in given.split(",")]
    written = written[0] if written and len(written) == 1 else written
    answers = [
        await client.post("/v1/likelihoods", params=query, content=TWO, headers=NPY),
        await client.post(
            "/v1/likelihoods",
            data=query,
            files=[("images", ("1.png", BLACK)), ("images", ("2.png", BLACK))],
        ),
        await client.post(
            "/v1/likelihoods",
            json={"model": "classy", "images": [B64, B64], "class_label": written},
        ),
    ]
    for answer in answers:
        assert labels_in(answer, "results") == expected
        for result in answer.json()["results"]:
            assert ("log_px_given_class" in result) == (given is None)
            assert (result["log_px_given_z"] is None) == (given is None)
    labels = [job.task.labels for job in service.worker.jobs if isinstance(job.task, ScoreTask)]
    assert labels == [None if given is None else tuple(expected)] * 3


@pytest.mark.parametrize("given", ["x", "1,", ",1", "1;2", "-1", "1.0", "1 ,2", "9" * 500, "true"])
async def test_text_that_names_no_class_is_refused(client: httpx.AsyncClient, given: str) -> None:
    params = {"model": "classy", "class_label": given}
    refusal = await client.post("/v1/likelihoods", params=params, content=TWO, headers=NPY)
    problem: Any = assert_problem(refusal, 422, "invalid-request")
    assert problem["errors"][0]["field"] == "class_label"


class TestPrice:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(max_row_evaluations=1000)

    async def test_all_classes_cost_as_many_scores(self, client: httpx.AsyncClient) -> None:
        query = {"model": "classy", "probes": 1}
        dear = await client.post("/v1/likelihoods", params=query, content=TWO, headers=NPY)
        problem = assert_problem(dear, 422, "request-too-expensive")
        formula = "images x classes x draws x (1 + probes) x steps = 2 x 5 x 1 x 2 x 95"
        assert formula in str(problem["detail"])
        named = query | {"class_label": "0"}
        answer = await client.post("/v1/likelihoods", params=named, content=TWO, headers=NPY)
        assert answer.status_code == 200


async def test_the_same_key_with_another_class_is_refused(
    client: httpx.AsyncClient, service: Service
) -> None:
    body = {"model": "classy", "count": 2, "seed": 1, "class_label": 3}
    first = await client.post("/v1/samples", json=body, headers=KEY)
    again = await client.post("/v1/samples", json=body, headers=KEY)
    assert again.content == first.content
    for other in (2, [3, 2], None):
        refusal = await client.post("/v1/samples", json=body | {"class_label": other}, headers=KEY)
        assert_problem(refusal, 422, "idempotency-mismatch")
    assert len(service.worker.jobs) == 1


async def test_the_number_of_classes_is_told(client: httpx.AsyncClient) -> None:
    shown = (await client.get("/v1/models/classy")).json()
    assert shown["classes"] == CLASSES
    assert shown["latent"] == {"n": 0, "k": 0}
    assert shown["calibration"]["solver"]["class_label"] == 2
    for name in "classy", "classy.likelihood":
        metadata = (await client.get(f"/v2/models/{name}")).json()
        assert metadata["parameters"] == {"classes": CLASSES}
        assert {"name": "class_label", "datatype": "INT32", "shape": [-1]} in metadata["inputs"]
        config = (await client.get(f"/v2/models/{name}/config")).json()
        assert config["parameters"] == {"classes": {"string_value": "5"}}


async def test_classes_in_the_open_inference_protocol(
    client: httpx.AsyncClient, service: Service
) -> None:
    bodies: list[Any] = [
        {"inputs": [tensor("count", "INT32", [2]), tensor("class_label", "INT32", [1, 3])]},
        {"inputs": [tensor("count", "INT32", [2]), tensor("class_label", "INT32", [4])]},
        {"inputs": [], "parameters": {"count": 2, "class_label": 4}},
        {"inputs": [tensor("count", "INT32", [2])]},
    ]
    for body, expected in zip(bodies, ([1, 3], [4, 4], [4, 4], [4, 3]), strict=True):
        answer = await client.post("/v2/models/classy/infer", json=body)
        assert answer.status_code == 200, answer.text
        found = {one["name"]: one for one in answer.json()["outputs"]}
        assert found["class_label"]["data"] == expected
        assert found["class_label"]["datatype"] == "INT32"
        assert found["latent"]["shape"] == [2, 0]
    images = tensor("images", "UINT8", np.zeros((2, 8, 8, 1), np.uint8))
    body = {"inputs": [images, tensor("class_label", "INT32", [1, 3])]}
    answer = await client.post("/v2/models/classy.likelihood/infer", json=body)
    assert answer.status_code == 200, answer.text
    details = next(one for one in answer.json()["outputs"] if one["name"] == "details")
    assert [json.loads(row)["class_label"] for row in details["data"]] == [1, 3]
    for wrong in ([5, 0], [1, 2, 3], [-1, 0]):
        body = {"inputs": [images, tensor("class_label", "INT32", wrong)]}
        refusal = await client.post("/v2/models/classy.likelihood/infer", json=body)
        assert refusal.status_code == 400
        assert "class_label" in refusal.json()["error"]
    refusal = await client.post(
        "/v2/models/tiny/infer", json={"inputs": [tensor("class_label", "INT32", [0])]}
    )
    assert refusal.status_code == 400
    assert "class_label" in refusal.json()["error"]


async def test_verdicts_are_of_the_calibration_s_class(
    client: httpx.AsyncClient, service: Service
) -> None:
    service.worker.proceed.clear()
    for given in {}, {"class_label": 2}:
        job: Any = {"model": "classy", "images": [B64], "alpha": 0.1, **given}
        answer = await client.post("/v1/jobs", json={"kind": "anomalies", "request": job})
        assert answer.status_code == 202, answer.text
    for given, words in (
        ({"class_label": 1}, "should be 2: classy was calibrated on images of that class"),
        ({"class_label": 7}, "should be below 5"),
        ({"class_label": True}, "valid integer"),
        ({"class_label": [2]}, "valid integer"),
    ):
        refusal = await client.post(
            "/v1/anomalies", json={"model": "classy", "images": [B64], **given}
        )
        problem: Any = assert_problem(refusal, 422, "invalid-request")
        (entry,) = problem["errors"]
        assert entry["field"] == "class_label"
        assert words in entry["message"]
    for claimed in service.worker.jobs:
        assert isinstance(claimed.task, AnomalyTask)
        assert claimed.task.solver.class_label == 2
