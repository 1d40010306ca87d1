"""POST /v1/schedules: latents by index or by image, two forms of the answer, and refusals."""

import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
from api_double import CONFIG, EXECUTION, Service, assert_problem, manifest, npy, png

from models.schema.mulan import MulanConfig
from service.kinds.schedules.task import ScheduleResult, ScheduleTask
from service.settings import Settings

pytestmark = pytest.mark.anyio

LEVELS = np.array([round(255 * v / 16) for v in range(17)], np.uint8)
TOKENS = np.random.default_rng(0).integers(0, 17, (2, 4, 3, 1), dtype=np.uint8)
PNGS = [base64.b64encode(png(LEVELS[image[..., 0]])).decode() for image in TOKENS]
# a, b and c of two latents in every pixel.
SHAPE = (2, 3, *CONFIG.image_shape)
COEFFICIENTS = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)


async def ask(client: httpx.AsyncClient, model: str = "tiny", **more: Any) -> httpx.Response:
    return await client.post("/v1/schedules", json={"model": model} | more)


def task_of(service: Service) -> ScheduleTask:
    task = service.worker.jobs[-1].task
    assert isinstance(task, ScheduleTask)
    return task


def gamma_by_integration(coefficients: np.ndarray[Any, Any], t: float) -> np.ndarray[Any, Any]:
    """gamma by its definition: the integral of the square, by many small steps."""
    a, b, c = coefficients.astype(np.float64)
    u = (np.arange(20_000) + 0.5) * t / 20_000
    rate = [np.square((a * one + b) * one + c) for one in u]
    return CONFIG.gamma_min + np.mean(rate, axis=0) * t


async def test_the_answer_has_one_schedule_a_latent(
    client: httpx.AsyncClient, service: Service
) -> None:
    service.worker.answer = lambda job: ScheduleResult(((1, 4), (0, 5)), COEFFICIENTS, EXECUTION)
    body = (await ask(client, latents=[[4, 1], [0, 5]], points=9)).json()
    job = service.worker.jobs[0]
    assert (body["id"], body["model"], body["checkpoint"]) == (job.id, "tiny", job.checkpoint)
    assert (body["execution"], body["gamma_min"], body["gamma_max"]) == (EXECUTION, -7.9, 5.0)
    assert body["image_shape"] == [4, 3, 1]
    assert body["times"] == [step / 8 for step in range(9)]
    assert task_of(service).latents == ((1, 4), (0, 5))
    assert [one["latent"] for one in body["schedules"]] == [[1, 4], [0, 5]]
    assert [one["index"] for one in body["schedules"]] == [0, 1]
    for coefficients, one in zip(COEFFICIENTS, body["schedules"], strict=True):
        sent = np.frombuffer(base64.b64decode(one["coefficients"]), "<f4")
        np.testing.assert_array_equal(sent.reshape(SHAPE[1:]), coefficients)
        values = gamma_by_integration(coefficients, 0.625)
        at = body["times"].index(0.625)
        assert one["mean"][at] == pytest.approx(values.mean(), abs=1e-5)
        for name, share in (("lower", 0.05), ("median", 0.5), ("upper", 0.95)):
            assert one[name][at] == pytest.approx(np.quantile(values, share), abs=1e-5)


async def test_gamma_itself_is_an_array(client: httpx.AsyncClient, service: Service) -> None:
    service.worker.answer = lambda job: ScheduleResult(((1, 4), (0, 5)), COEFFICIENTS, EXECUTION)
    response = await client.post(
        "/v1/schedules",
        json={"model": "tiny", "latents": [[1, 4], [0, 5]], "points": 17},
        headers={"Accept": "application/x-npy"},
    )
    found = np.load(io.BytesIO(response.content))
    assert (found.shape, found.dtype) == ((2, 17, 4, 3, 1), np.float32)
    expected = gamma_by_integration(COEFFICIENTS[1], 0.5)
    np.testing.assert_allclose(found[1, 8], expected, atol=1e-5)
    assert response.headers["x-mulan-solver"] == '{"name":"schedule","points":17}'


async def test_images_come_in_every_way(client: httpx.AsyncClient, service: Service) -> None:
    contents = [base64.b64decode(text) for text in PNGS]
    responses = [
        await ask(client, images=PNGS),
        await client.post(
            "/v1/schedules",
            files=[("images", ("a.png", content)) for content in contents],
            data={"model": "tiny", "points": "65"},
        ),
        await client.post(
            "/v1/schedules",
            content=npy(TOKENS),
            headers={"Content-Type": "application/x-npy"},
            params={"model": "tiny"},
        ),
    ]
    for response in responses:
        assert response.status_code == 200, response.text
        assert len(response.json()["schedules"]) == 2
    for job in service.worker.jobs:
        assert isinstance(job.task, ScheduleTask)
        np.testing.assert_array_equal(job.task.images, TOKENS)
        assert (job.task.latents, job.cost) == ((), 2)


async def test_it_is_queued(client: httpx.AsyncClient) -> None:
    job = {"kind": "schedules", "request": {"model": "tiny", "latents": [[0, 1]]}}
    queued = await client.post("/v1/jobs", json=job)
    assert queued.status_code == 202, queued.text
    async with client.stream("GET", f"{queued.headers['location']}/events") as events:
        told = [line async for line in events.aiter_lines() if line.startswith("event:")]
    assert told[-1] == "event: succeeded"
    answer = await client.get(f"{queued.headers['location']}/result")
    assert answer.json()["schedules"][0]["latent"] == [0, 1]


@pytest.mark.parametrize(
    ("request_", "field", "words"),
    [
        ({}, "latents", "should hold at least one latent, 2 distinct indices from 0 to 5, or"),
        ({"latents": []}, "latents", "or images at least one image"),
        ({"latents": [[0, 1], [0]]}, "latents[1]", "should be 2 distinct indices from 0 to 5"),
        ({"latents": [[0, 0]]}, "latents[0]", "should be 2 distinct indices from 0 to 5"),
        ({"latents": [[0, 6]]}, "latents[0]", "should be 2 distinct indices from 0 to 5"),
        ({"latents": [[]]}, "latents[0]", "should be 2 distinct indices from 0 to 5"),
        ({"latents": [[0, -1]]}, "latents[0][1]", "greater than or equal to 0"),
        ({"latents": [0, 1]}, "latents[0]", "array"),
        ({"latents": [[0, 1]], "images": PNGS}, "latents", "should be left out: the images'"),
        ({"latents": [[0, 1]], "points": 8}, "points", "greater than or equal to 9"),
        ({"latents": [[0, 1]], "points": 258}, "points", "less than or equal to 257"),
        ({"latents": [[0, 1]] * 1025}, "latents", "should hold at most 1024 latents"),
        ({"latents": [[0, 1]], "image": PNGS[0]}, "image", ""),
    ],
)
async def test_faults_are_named(
    client: httpx.AsyncClient, service: Service, request_: Any, field: str, words: str
) -> None:
    body: Any = assert_problem(await ask(client, **request_), 422, "invalid-request")
    assert [error["field"] for error in body["errors"]] == [field]
    assert words in body["errors"][0]["message"]
    assert service.worker.jobs == []


async def test_unknown_models_and_images_that_are_none(client: httpx.AsyncClient) -> None:
    assert_problem(await ask(client, "nobody", latents=[[0, 1]]), 404, "unknown-model")
    assert_problem(await ask(client, images=["?"]), 400, "malformed-body")
    wide = base64.b64encode(png(np.zeros((4, 4), np.uint8))).decode()
    assert_problem(await ask(client, images=[wide]), 422, "wrong-image-shape")


class TestOtherModels:
    """Models without a latent, and with large images."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings()

    @pytest.fixture(autouse=True)
    def served(self, service: Service) -> None:
        plain = MulanConfig.model_validate(CONFIG.model_dump() | {"latent_size": 0, "latent_k": 0})
        large = CONFIG.model_copy(
            update={"image_shape": (256, 256, 3), "patch": 4, "schedule_width": 8}
        )
        for name, config in (("plain", plain), ("large", large)):
            service.catalogue.add(manifest(name, config), EXECUTION)
            service.worker.checkpoints.append(manifest(name, config).sha256)

    async def test_without_a_latent_the_line_is_answered(self, client: httpx.AsyncClient) -> None:
        for request in ({}, {"latents": []}, {"images": PNGS[:1]}):
            body = (await ask(client, "plain", points=9, **request)).json()
            (one,) = body["schedules"]
            line = [-7.9 + 12.9 * t for t in body["times"]]
            for name in ("mean", "lower", "median", "upper"):
                assert one[name] == pytest.approx(line, abs=1e-5)

    async def test_without_a_latent_none_is_taken(self, client: httpx.AsyncClient) -> None:
        response = await ask(client, "plain", latents=[[0]])
        body: Any = assert_problem(response, 422, "invalid-request")
        assert body["errors"] == [
            {"field": "latents", "message": "should be left out: this model has none"}
        ]

    async def test_an_answer_is_bounded(self, client: httpx.AsyncClient) -> None:
        response = await ask(client, "large", latents=[[0, 1]] * 2, points=65)
        body: Any = assert_problem(response, 422, "invalid-request")
        assert "2 schedules x 65 points x 196608 values of an image are 25559040" in body["detail"]
        assert (await ask(client, "large", latents=[[0, 1]], points=65)).status_code == 200
