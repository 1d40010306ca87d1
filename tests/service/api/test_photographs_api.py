"""Photographs as they are: one verdict on each, by the checkpoint's own preprocessing."""

import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
from api_double import CONFIG, EXECUTION, Service, assert_problem, manifest, npy, reading_of
from PIL import Image

from models.anomaly.fitting import fit
from models.anomaly.pictures import PictureReference, judge_pictures, picture_scores
from models.preprocessing.tiles import cut_all, read_picture
from models.schema.preprocessing import PictureRule, Size
from models.schema.scores import Score, joint
from models.schema.specs import Adams, FlowPath
from service.kinds import likelihoods
from service.kinds.anomalies.metrics import P_VALUE, VERDICTS, Meter
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask
from service.kinds.likelihoods.task import ScoreResult, ScoreTask
from service.settings import Settings

pytestmark = pytest.mark.anyio

# Pictures of 16 by 12 become 8 by 6 and have four tiles of 4 by 3.
RULE = PictureRule.model_validate(
    {
        "mode": "grey",
        "size": {"rule": "scale", "factor": 0.5},
        "tile": (4, 3),
        "stride": (4, 3),
        "levels": 17,
    }
)
DICE = np.random.default_rng(0)


def stored(levels: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(levels).save(file, form, **options)
    return file.getvalue()


def dark(height: int = 16, width: int = 12) -> np.ndarray:
    return DICE.integers(0, 120, (height, width), dtype=np.uint8)


GOOD = [stored(dark()) for _ in range(60)]
BAD = stored(np.full((16, 12), 255, np.uint8))
MODEL = manifest("photos", CONFIG, preprocessing=RULE.model_dump())


def calibrated() -> Any:
    parts = [
        cut_all([read_picture(one, RULE) for one in GOOD[a:b]], RULE)
        for a, b in ((0, 30), (30, 60))
    ]
    (density, _), (tiles, tiling) = parts
    readings = [[reading_of(image) for image in some] for some in (density, tiles)]
    fitted = fit(MODEL, FlowPath(), 0, (readings[0], density), (readings[1], tiles), "test")
    scores = picture_scores(fitted, "max", readings[1], tiles, tiling)
    pictures = PictureReference(
        rule=RULE.digest,
        aggregate="max",
        pictures=30,
        failed=0,
        sha256="0" * 64,
        density_pictures=30,
        density_sha256="1" * 64,
        same_source=False,
        scores=tuple(sorted(scores)),
    )
    return fitted.model_copy(update={"pictures": pictures})


CALIBRATION = calibrated()


@pytest.fixture
def service(service: Service) -> Service:
    service.catalogue.add(MODEL, EXECUTION, CALIBRATION)
    service.worker.checkpoints.append(MODEL.sha256)
    return service


async def ask(
    client: httpx.AsyncClient, *contents: bytes, path: str = "anomalies", **more: Any
) -> httpx.Response:
    images = [base64.b64encode(content).decode() for content in contents]
    return await client.post(f"/v1/{path}", json={"model": "photos", "images": images} | more)


async def test_each_photograph_has_one_verdict(client: httpx.AsyncClient, service: Service) -> None:
    large = stored(dark(32, 24))
    body = (await ask(client, GOOD[0], BAD, large, alpha=0.1)).json()
    task = service.worker.jobs[-1].task
    assert isinstance(task, AnomalyTask)
    assert task.images.shape == (4 + 4 + 16, 4, 3, 1)
    assert task.tiling is not None
    assert task.tiling.sizes == (Size(16, 12), Size(16, 12), Size(32, 24))
    readings = [reading_of(image) for image in task.images]
    expected = judge_pictures(CALIBRATION, readings, task.images, task.tiling)
    assert [row["picture"]["tiles"] for row in body["results"]] == [4, 4, 16]
    for index, (row, verdict) in enumerate(zip(body["results"], expected, strict=True)):
        assert (row["index"], row["status"]) == (index, "ok")
        assert row["nfe"] == 39 * row["picture"]["tiles"]
        assert row["score"] == pytest.approx(verdict.score)
        assert row["score"] == pytest.approx(max(tile.score or 0 for tile in verdict.tiles))
        assert row["p_value"] == verdict.p_value
        assert row["is_anomaly"] == (verdict.p_value <= 0.1)
        assert not {"heatmap", "reason", "tiles"} & row.keys()
    assert body["results"][1]["p_value"] == pytest.approx(1 / 31)
    assert body["applied"] == {"digest": RULE.digest, "rule": RULE.model_dump(mode="json")}
    assert body["settings"]["calibration_images"] == 30
    assert body["settings"]["aggregate"] == "max"


async def test_every_way_in_gives_the_same_verdicts(client: httpx.AsyncClient) -> None:
    """And every lossless format: as JSON, as a form, and as the body itself."""
    levels = dark()
    expected = (await ask(client, stored(levels), tiles=True)).json()["results"]
    for form, kind in (("BMP", "bmp"), ("TIFF", "tiff"), ("WEBP", "webp"), ("PNG", "png")):
        options = {"lossless": True, "exact": True} if form == "WEBP" else {}
        content = stored(levels, form, **options)
        answers = [
            await ask(client, content, tiles=True),
            await client.post(
                "/v1/anomalies",
                files=[("images", ("a", content))],
                data={"model": "photos", "tiles": "true"},
            ),
            await client.post(
                "/v1/anomalies",
                content=content,
                headers={"Content-Type": f"image/{kind}"},
                params={"model": "photos", "tiles": "true"},
            ),
        ]
        assert [answer.status_code for answer in answers] == [200] * 3, answers[0].text
        assert all(answer.json()["results"] == expected for answer in answers)


async def test_a_jpeg_as_the_body(client: httpx.AsyncClient) -> None:
    content = stored(dark(), "JPEG", quality=95)
    headers, query = {"Content-Type": "image/jpeg"}, {"model": "photos", "alpha": "0.1"}
    answer = await client.post("/v1/anomalies", content=content, headers=headers, params=query)
    assert answer.json()["results"][0]["picture"]["height"] == 16


async def test_tiles_and_their_places_on_request(client: httpx.AsyncClient) -> None:
    (row,) = (await ask(client, stored(dark(16, 15)), tiles=True)).json()["results"]
    assert row["picture"] == {
        "height": 16,
        "width": 15,
        "scaled_height": 8,
        "scaled_width": 8,
        "tiles": 6,
    }
    places = [tile["place"] for tile in row["tiles"]]
    assert [place["y"] for place in places] == [0, 0, 0, 8, 8, 8]
    assert [place["x"] for place in places[:3]] == [0, 3 * 15 / 8, 5 * 15 / 8]
    assert places[2]["x"] + places[2]["width"] == 15
    assert row["score"] == max(tile["score"] for tile in row["tiles"])
    strangest = max(row["tiles"], key=lambda tile: tile["score"])
    assert row["statistics"] == strangest["statistics"]


async def test_the_heatmap_has_the_photograph_s_size(client: httpx.AsyncClient) -> None:
    levels = np.zeros((16, 12), np.uint8)
    levels[8:, 6:] = 255
    (row,) = (await ask(client, stored(levels), heatmap=True)).json()["results"]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(row["heatmap"]))))
    assert shown.shape == (16, 12)
    assert shown[10:, 8:].min() > 200
    assert shown[:6, :4].max() < 50


async def test_likelihoods_of_photographs_are_sums_over_tiles(client: httpx.AsyncClient) -> None:
    body = (await ask(client, GOOD[0], path="likelihoods", tiles=True)).json()
    (row,) = body["results"]
    assert len(row["tiles"]) == 4
    assert row["log_px_given_z"] == pytest.approx(sum(t["log_px_given_z"] for t in row["tiles"]))
    assert row["nfe"] == 4 * 90
    assert body["applied"]["digest"] == RULE.digest


def test_a_joint_likelihood_adds_up() -> None:
    one = Score(5, -2.0, -3.0, 1.0, 0.3, None, 0.5, -1.0, -1.0, 0.5, -1.5)
    both = joint([one, one], 4)
    assert (both.nfe, both.log_px_lower_bound, both.prior) == (10, -6.0, -2.0)
    assert both.bits_per_dim == pytest.approx(6 / (8 * np.log(2)))
    assert both.trace_standard_error == pytest.approx(0.3 * np.sqrt(2))
    assert both.draw_standard_error is None
    failed = joint([one, Score(3, reason="it failed")], 4)
    assert (failed.nfe, failed.reason, failed.prior) == (8, "it failed", None)


async def test_tokens_are_scored_and_not_judged(client: httpx.AsyncClient) -> None:
    tokens = npy(np.zeros((2, 4, 3, 1), np.uint8))
    headers = {"Content-Type": "application/x-npy"}
    ask = {"content": tokens, "headers": headers, "params": {"model": "photos"}}
    scored = await client.post("/v1/likelihoods", **ask)
    assert len(scored.json()["results"]) == 2
    assert "applied" not in scored.json()
    problem = assert_problem(await client.post("/v1/anomalies", **ask), 422, "invalid-request")
    assert "calibrated on whole pictures" in str(problem["detail"])
    files = [("images", ("a", tokens)), ("images", ("b", BAD))]
    both = await client.post("/v1/likelihoods", files=files, data={"model": "photos"})
    assert "not both" in str(assert_problem(both, 422, "invalid-request")["detail"])


def test_a_photograph_counts_once_in_the_metrics() -> None:
    tiles, tiling = cut_all([read_picture(one, RULE) for one in (GOOD[0], BAD)], RULE)
    readings = tuple(reading_of(image) for image in tiles)
    task = AnomalyTask(CALIBRATION, 0, 0.1, False, tiles, tiling)
    found = list(Meter(())(task, AnomalyResult(readings, EXECUTION)))
    told = [one.labels for one in found if one.metric is VERDICTS]
    assert told == [("none", "normal"), ("none", "abnormal")]
    assert len([one for one in found if one.metric is P_VALUE]) == 2
    scored = ScoreTask(Adams(), 0, 1, tiles, tiling)
    bits = [Score(90, bits_per_dim=1.0, log_px_lower_bound=-1.0) for _ in tiles]
    result = ScoreResult(tuple(bits), EXECUTION)
    assert len(list(likelihoods.KIND.measure(scored, result))) == 2


def bits_16() -> bytes:
    return stored(dark().astype(np.uint16) * 257)


@pytest.mark.parametrize(
    ("content", "status", "code", "words"),
    [
        (b"a shopping list", 400, "malformed-body", "images[0]: no picture"),
        (stored(dark(), "JPEG")[:300], 400, "malformed-body", "damaged"),
        (stored(dark(6, 6)), 422, "wrong-image-shape", "becomes 3x3"),
        (bits_16(), 422, "wrong-dtype", "8 bits"),
        (stored(np.zeros((3000, 2000), np.uint8)), 413, "image-too-large", "3000x2000"),
    ],
)
async def test_photographs_that_are_refused(
    client: httpx.AsyncClient, content: bytes, status: int, code: str, words: str
) -> None:
    for path in ("anomalies", "likelihoods"):
        problem = assert_problem(await ask(client, content, path=path), status, code)
        assert words in str(problem["detail"])


@pytest.fixture
def settings() -> Settings:
    return Settings(max_images=30, max_photograph_pixels=1 << 20, max_row_evaluations=2000)


async def test_tiles_are_counted_and_priced_before_anything_is_inflated(
    client: httpx.AsyncClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.images.photographs.read_picture", lambda *_: pytest.fail("read"))
    many = stored(np.zeros((48, 36), np.uint8))
    problem = assert_problem(await ask(client, many), 413, "too-many-images")
    assert "36" in str(problem["detail"])
    some = [stored(dark()) for _ in range(7)]
    problem = assert_problem(await ask(client, *some), 422, "request-too-expensive")
    assert "28 x 2 x 39" in str(problem["detail"])
    assert not service.worker.jobs


async def test_an_alpha_below_what_the_pictures_allow(client: httpx.AsyncClient) -> None:
    """By the number of pictures, not of their tiles."""
    problem = assert_problem(await ask(client, BAD, alpha=0.03), 422, "invalid-request")
    assert "m = 30" in str(problem["detail"])


async def test_tiles_are_for_photographs(client: httpx.AsyncClient) -> None:
    dark = npy(np.zeros((1, 4, 3, 1), np.uint8))
    for path in ("anomalies", "likelihoods"):
        answer = await client.post(
            f"/v1/{path}",
            content=dark,
            headers={"Content-Type": "application/x-npy"},
            params={"model": "tiny", "tiles": "true"},
        )
        assert_problem(answer, 422, "invalid-request")


async def test_the_model_says_how_it_prepares_pictures(client: httpx.AsyncClient) -> None:
    found = (await client.get("/v1/models/photos")).json()
    assert found["preprocessing"] == {"digest": RULE.digest, "rule": RULE.model_dump(mode="json")}
    assert found["calibration"]["pictures"]["pictures"] == 30
    assert "scores" not in found["calibration"]["pictures"]
    assert (await client.get("/v1/models/tiny")).json()["preprocessing"] is None
