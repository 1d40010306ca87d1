"""The shipped checkpoint, served: what a new user would try, and what the service promises."""

import asyncio
import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from models.files.images import divide, load_tokens
from models.files.shelf import find
from models.training.recipe import read_recipe

SOLVERS = [
    {"name": "ddpm", "steps": 20},
    {"name": "ddpm", "steps": 30, "grid": "time"},
    {"name": "rtk-ula", "segments": 4, "inner_steps": 3},
    {"name": "rtk-mala", "segments": 4, "inner_steps": 3, "energy": "trapezoid"},
    {"name": "rtk-mala", "segments": 3, "inner_steps": 2, "energy": "simpson", "start": "kernel"},
    {"name": "rtk-uld", "segments": 4, "inner_steps": 3},
]
TIMEOUT_S = 300.0
# Other settings than the card's, so that agreement is no echo.
CHEAP = "probes=1&tolerance_nats=2"


def png_bytes(response: httpx.Response) -> list[bytes]:
    assert response.status_code == 200, response.text
    return [base64.b64decode(image["png"]) for image in response.json()["images"]]


def npy(tokens: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, tokens)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def test_images() -> np.ndarray:
    recipe = read_recipe("digits")
    images = load_tokens("digits")
    return images[divide(len(images), recipe.data.split, recipe.data.split_seed)["test"]]


def test_sixteen_digits_by_default(address: str) -> None:
    response = httpx.post(
        f"{address}/v1/samples", json={"model": "digits", "count": 16, "seed": 7}, timeout=TIMEOUT_S
    )
    pictures = [np.asarray(Image.open(io.BytesIO(png))) for png in png_bytes(response)]
    assert all(picture.shape == (8, 8) for picture in pictures)
    # Ink: real digits leave the outer columns dark and the middle bright.
    mean = np.mean(pictures, axis=0)
    assert mean[:, 0].max() < 16
    assert mean[:, 3:5].mean() > 80


def test_sheet_and_array_show_the_same_images(address: str) -> None:
    body = {"model": "digits", "count": 4, "seed": 3}
    url = f"{address}/v1/samples"
    sheet = httpx.post(url, json=body, headers={"Accept": "image/png"}, timeout=TIMEOUT_S)
    array = httpx.post(url, json=body, headers={"Accept": "application/x-npy"}, timeout=TIMEOUT_S)
    assert sheet.headers["content-type"] == "image/png"
    assert sheet.headers["x-mulan-checkpoint"] == find("digits")[1].sha256
    tokens = np.load(io.BytesIO(array.content))
    assert tokens.shape == (4, 8, 8, 1)
    assert tokens.max() <= 16
    singles = png_bytes(httpx.post(url, json=body, timeout=TIMEOUT_S))
    levels = np.rint(255 * tokens[0, :, :, 0].astype(float) / 16)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(singles[0]))), levels)


def test_an_image_does_not_depend_on_its_neighbours(address: str, test_images: np.ndarray) -> None:
    """Alone, in a request of 64, and under mixed traffic of all solvers and scoring."""

    async def traffic() -> None:
        async with httpx.AsyncClient(base_url=address, timeout=TIMEOUT_S) as client:

            async def sample(body: dict[str, Any]) -> list[bytes]:
                return png_bytes(await client.post("/v1/samples", json={"model": "digits", **body}))

            async def score() -> httpx.Response:
                return await client.post(
                    f"/v1/likelihoods?model=digits&{CHEAP}",
                    content=npy(test_images[:8]),
                    headers={"Content-Type": "application/x-npy"},
                )

            requests = [{"count": 1, "seed": 11, "solver": solver} for solver in SOLVERS]
            alone = [await sample(request) for request in requests]
            crowd = await asyncio.gather(
                *(
                    sample(request | {"count": 64 if i == 0 else 5})
                    for i, request in enumerate(requests)
                ),
                *(sample({"count": 7, "seed": 99, "solver": solver}) for solver in SOLVERS),
                score(),
            )
            for single, many in zip(alone, crowd[: len(requests)], strict=True):
                assert many[0] == single[0]
            last = await sample(requests[0] | {"count": 64})
            assert last == crowd[0]

    asyncio.run(traffic())


def test_a_score_does_not_depend_on_its_neighbours(address: str, test_images: np.ndarray) -> None:
    async def traffic() -> None:
        async with httpx.AsyncClient(base_url=address, timeout=TIMEOUT_S) as client:

            async def score(images: np.ndarray) -> list[dict[str, Any]]:
                response = await client.post(
                    f"/v1/likelihoods?model=digits&{CHEAP}&seed=5",
                    content=npy(images),
                    headers={"Content-Type": "application/x-npy"},
                )
                assert response.status_code == 200, response.text
                results: list[dict[str, Any]] = response.json()["results"]
                return results

            async def sample(seed: int) -> httpx.Response:
                return await client.post(
                    "/v1/samples", json={"model": "digits", "count": 9, "seed": seed}
                )

            images = test_images[:64]
            alone = (await score(images[40:41]))[0]
            crowd, *_ = await asyncio.gather(
                score(images[::-1]), sample(1), sample(2), score(images[:3])
            )
            beside = crowd[63 - 40]
            for field in ("log_px_given_z", "log_px_lower_bound", "bits_per_dim"):
                assert beside[field] == pytest.approx(alone[field], rel=1e-6)
            assert beside["nfe"] == alone["nfe"]

    asyncio.run(traffic())


def test_scores_agree_with_the_card(address: str, test_images: np.ndarray) -> None:
    """Every third test image: their mean is that of all within three standard errors of theirs."""
    figures = find("digits")[1].evaluation["likelihood"]
    figure = figures["ode"]["bound"]
    assert figures["ode"]["images"] == len(test_images)
    response = httpx.post(
        f"{address}/v1/likelihoods?model=digits&{CHEAP}&seed=1",
        content=npy(test_images[::3]),
        headers={"Content-Type": "application/x-npy"},
        timeout=TIMEOUT_S,
    )
    assert response.status_code == 200, response.text
    bits = [row["bits_per_dim"] for row in response.json()["results"]]
    assert len(bits) == 99
    assert abs(np.mean(bits) - figure["mean"]) < 3 * figure["standard_error"] * 3**0.5


def test_noise_is_less_likely_than_digits(address: str, test_images: np.ndarray) -> None:
    noise = np.random.default_rng(0).integers(0, 17, (4, 8, 8, 1), dtype=np.uint8)
    response = httpx.post(
        f"{address}/v1/likelihoods?model=digits&{CHEAP}",
        content=npy(np.concatenate([test_images[:4], noise])),
        headers={"Content-Type": "application/x-npy"},
        timeout=TIMEOUT_S,
    )
    bits = [row["bits_per_dim"] for row in response.json()["results"]]
    assert max(bits[:4]) < min(bits[4:])


def verdicts(address: str, images: np.ndarray, **query: str) -> list[dict[str, Any]]:
    response = httpx.post(
        f"{address}/v1/anomalies",
        params={"model": "digits"} | query,
        content=npy(images),
        headers={"Content-Type": "application/x-npy"},
        timeout=TIMEOUT_S,
    )
    assert response.status_code == 200, response.text
    assert "NaN" not in response.text
    rows: list[dict[str, Any]] = response.json()["results"]
    return rows


def test_odd_images_are_told_from_digits(address: str, test_images: np.ndarray) -> None:
    levels = [np.full((8, 8, 1), level, np.uint8) for level in (0, 8, 16)]
    noise = np.random.default_rng(0).integers(0, 17, (2, 8, 8, 1), dtype=np.uint8)
    pixel = test_images[0].copy()
    pixel[4, 4] = (pixel[4, 4] + 1) % 17
    odd = np.stack([*levels, *noise, 16 - test_images[1]])
    rows = verdicts(address, np.stack([*odd, pixel, *test_images[:17]]), heatmap="true")
    assert all(row["status"] == "ok" and row["nfe"] <= 40 for row in rows)
    assert all(np.isfinite([row["score"], *row["statistics"].values()]).all() for row in rows)
    assert all(row["is_anomaly"] for row in rows[: len(odd)])
    usual = rows[len(odd) + 1 :]
    assert sum(row["is_anomaly"] for row in usual) <= 4
    assert rows[len(odd)]["score"] < min(row["score"] for row in rows[: len(odd)])
    shown = [np.asarray(Image.open(io.BytesIO(base64.b64decode(row["heatmap"])))) for row in rows]
    assert all(picture.shape == (8, 8) and picture.max() == 255 for picture in shown)


def test_a_verdict_does_not_depend_on_its_neighbours(address: str, test_images: np.ndarray) -> None:
    many = verdicts(address, test_images[:5])
    (alone,) = verdicts(address, test_images[3:4], alpha="0.01")
    assert alone["score"] == pytest.approx(many[3]["score"], rel=1e-6)
    assert (alone["p_value"], alone["nfe"]) == (many[3]["p_value"], many[3]["nfe"])
