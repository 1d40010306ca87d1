"""The peers' own ways to batch give the pictures and scores of our engine."""

import base64
import time
from typing import Any

import pytest
import torch
from tiny_zoo import CONFIG

from loadtests.peers.core import FreeDenoiser
from loadtests.peers.runner import alone_ms, bare_rate
from loadtests.peers.servers.continuous import ContinuousBatch
from loadtests.peers.servers.solving import Json, solve_together
from models.files.pictures import encode_png
from models.network.mulan import Mulan
from models.rows.denoiser import Denoiser
from models.rows.rows import Answer, Condition, Query
from models.runtimes.warmup import warm_up
from models.schema.specs import Adams, sampler_spec
from models.solvers import SAMPLERS
from service.engine.engine import Engine
from service.engine.events import Ended
from service.jobs import Job, Task
from service.kinds.likelihoods.task import ScoreResult, ScoreTask
from service.kinds.samples.task import SampleResult, SampleTask
from service.rows import Served

SHA256 = "0" * 64


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    torch.manual_seed(3)
    return warm_up(Mulan(CONFIG).eval().requires_grad_(False), 32)


def ours(denoiser: Denoiser, task: Task) -> Any:
    """The engine's result of a task."""
    engine = Engine({SHA256: Served(denoiser, torch.device("cpu"), "cpu/test")})
    engine.submit(Job("one", SHA256, task, float("inf"), 0.0))
    while not engine.idle:
        for event in engine.step(time.time()):
            if isinstance(event, Ended):
                return event.outcome
    raise AssertionError("the job did not end")


def pictures(denoiser: Denoiser, request: Json) -> list[str]:
    """What our service answers to a request for images."""
    task = SampleTask(sampler_spec(**request["solver"]), request["seed"], request["count"])
    result = ours(denoiser, task)
    assert isinstance(result, SampleResult), result
    return [base64.b64encode(encode_png(one, CONFIG.vocabulary)).decode() for one in result.images]


def found(answer: Json) -> list[str]:
    return [image["png"] for image in answer["images"]]


def of_all_solvers() -> list[Json]:
    """Requests that differ in solver, number of steps, images and seed."""
    specs = [sampler_spec(name).with_pieces(pieces) for name in SAMPLERS for pieces in (2, 5)]
    return [
        {"solver": spec.model_dump(), "seed": seed, "count": 1 + seed % 3}
        for seed, spec in enumerate(specs)
    ]


def test_the_continuous_loop_gives_our_pictures(denoiser: Denoiser) -> None:
    batch, answers = ContinuousBatch(denoiser, capacity=8), {}
    requests = of_all_solvers()
    for number, request in enumerate(requests):
        batch.add(str(number), request)
        answers |= dict(batch.step())
        assert batch.rows < batch.capacity + 3
    while batch.busy:
        answers |= dict(batch.step())
    assert len(answers) == len(requests)
    for number, request in enumerate(requests):
        assert found(answers[str(number)]) == pictures(denoiser, request), request


def test_every_row_advances_in_one_call(denoiser: Denoiser) -> None:
    calls = []

    class Watched(FreeDenoiser):
        def evaluate(self, query: Query, condition: Condition) -> Answer:
            calls.append(len(query.x))
            return super().evaluate(query, condition)

    batch = ContinuousBatch(Watched(denoiser), capacity=64)
    for number, steps in enumerate((2, 4)):
        batch.add(
            f"ddpm {number}", {"solver": {"name": "ddpm", "steps": steps}, "seed": 1, "count": 2}
        )
        batch.add(
            f"ddim {number}", {"solver": {"name": "ddim", "steps": steps}, "seed": 1, "count": 1}
        )
    ended = [{uid for uid, _ in batch.step()} for _ in range(4)]
    assert calls == [6, 6, 3, 3]
    assert ended == [set(), {"ddpm 0", "ddim 0"}, set(), {"ddpm 1", "ddim 1"}]
    assert not batch.busy
    assert batch.step() == []


def test_batches_of_requests_give_our_pictures(denoiser: Denoiser) -> None:
    requests = of_all_solvers()
    for request, answer in zip(requests, solve_together(denoiser, requests), strict=True):
        assert found(answer) == pictures(denoiser, request), request


def test_batches_of_requests_give_our_scores(denoiser: Denoiser) -> None:
    drawn = {"solver": {"name": "ddpm", "steps": 3}, "seed": 4, "count": 2}
    png = found(solve_together(denoiser, [drawn])[0])
    scored = {"images": png, "probes": 2, "tolerance_nats": 0.5, "seed": 6}
    images, scores = solve_together(denoiser, [drawn, scored])
    assert found(images) == png
    task = SampleTask(sampler_spec("ddpm", steps=3), 4, 2)
    tokens = ours(denoiser, task).images
    result = ours(denoiser, ScoreTask(Adams(), 6, 1, tokens))
    assert isinstance(result, ScoreResult), result
    expected = [one.log_px_lower_bound for one in result.scores]
    assert [one["log_px_lower_bound"] for one in scores["results"]] == pytest.approx(
        expected, rel=1e-6
    )


def test_rates_without_a_server(denoiser: Denoiser) -> None:
    rate = bare_rate(denoiser, seconds=0.2)
    calls = []

    class Watched(FreeDenoiser):
        def evaluate(self, query: Query, condition: Condition) -> Answer:
            calls.append(len(query.x))
            return super().evaluate(query, condition)

    assert bare_rate(Watched(denoiser), seconds=0.2) > rate > 0
    assert set(calls) == {64}
    assert alone_ms(denoiser, "tiny") > 0
