"""From a valid request to a job, or a refusal that has cost no model time."""

import math
import secrets
import time
import uuid
from typing import NamedTuple

from models.anomaly.calibration import Calibration
from models.anomaly.conformal import at_least
from models.schema.specs import EXACT_DIMENSIONS, Adams, SamplerSpec
from service.catalogue import ServedModel
from service.contracts.anomalies import AnomalyParameters
from service.contracts.base import MAX_SEED, PRIORITIES
from service.contracts.likelihoods import LikelihoodParameters
from service.contracts.samples import Preset, SampleRequest
from service.errors import InvalidRequest, TooLarge
from service.jobs import AnomalyTask, Job, SampleTask, ScoreTask, Task, Tokens
from service.settings import Settings


class Caller(NamedTuple):
    """Who asks, by the digest of a key, and by which request, as logs and traces call it."""

    owner: str
    request_id: str = ""
    trace: str = ""


def sample_cost(request: SampleRequest, model: ServedModel, settings: Settings) -> int:
    """Row-evaluations predicted. Raises InvalidRequest."""
    if request.count > settings.max_images:
        raise InvalidRequest.at("count", f"should be at most {settings.max_images}")
    if request.latent != "prior":
        _check_latent(request.latent, model)
    return _cost("images x steps", (request.count, _sampler(request, model).evaluations), settings)


def sample_task(request: SampleRequest, model: ServedModel) -> SampleTask:
    """The task with its solver and seed resolved."""
    latent = None if request.latent == "prior" else tuple(request.latent)
    seed = secrets.randbelow(MAX_SEED + 1) if request.seed is None else request.seed
    return SampleTask(_sampler(request, model), seed, request.count, latent)


def score_cost(
    request: LikelihoodParameters, model: ServedModel, images: int, settings: Settings
) -> int:
    """The same, by the request's numbers alone. Raises TooLarge, InvalidRequest."""
    _check_count(images, settings)
    spec, dimensions = scoring(request), model.config.dimensions
    if spec.trace == "exact" and dimensions > EXACT_DIMENSIONS:
        raise InvalidRequest.at(
            "trace",
            f"should be probes: an image has {dimensions} values, more than {EXACT_DIMENSIONS}",
        )
    products = spec.products(dimensions)
    factors = (images, request.draws, products, spec.expected_evaluations)
    return _cost("images x draws x probes x steps", factors, settings)


def score_task(request: LikelihoodParameters, images: Tokens) -> ScoreTask:
    """The task with every parameter resolved."""
    return ScoreTask(scoring(request), request.seed, request.draws, images)


def verdict_cost(
    request: AnomalyParameters, model: ServedModel, images: int, settings: Settings
) -> int:
    """The same. Raises TooLarge, and InvalidRequest also for want of a calibration."""
    _check_count(images, settings)
    calibration = _calibration(model)
    least = calibration.smallest_alpha
    if request.alpha < least:
        count = calibration.calibration_images.images
        raise InvalidRequest.at(
            "alpha", f"should be at least 1/(m + 1) = {at_least(least)}, with m = {count}"
        )
    solver = calibration.solver
    factors = (images, solver.probes, solver.evaluations)
    return _cost("images x probes x steps", factors, settings)


def anomaly_task(request: AnomalyParameters, model: ServedModel, images: Tokens) -> AnomalyTask:
    """The task, to be solved as the calibration was. Raises InvalidRequest for want of one."""
    return AnomalyTask(_calibration(model), request.seed, request.alpha, request.heatmap, images)


def scoring(request: LikelihoodParameters) -> Adams:
    """The ODE solver's parameters."""
    return Adams(
        probes=request.probes,
        trace=request.trace,
        latent=request.latent,
        tolerance_nats=request.tolerance_nats,
    )


def job(
    task: Task,
    model: ServedModel,
    wait: float,
    priority: str,
    caller: Caller,
    cost: int,
    settings: Settings,
) -> Job:
    """A job from now on; its deadline within the server's limit."""
    now = time.time()
    return Job(
        id=uuid.uuid4().hex,
        checkpoint=model.checkpoint,
        task=task,
        deadline=now + min(wait, settings.max_timeout_s),
        created_at=now,
        owner=caller.owner,
        priority=PRIORITIES[priority],
        model=model.name,
        cost=cost,
        request_id=caller.request_id,
        trace=caller.trace,
    )


def _sampler(request: SampleRequest, model: ServedModel) -> SamplerSpec:
    solver = request.solver
    return model.presets[solver.preset] if isinstance(solver, Preset) else solver


def _calibration(model: ServedModel) -> Calibration:
    if model.calibration is None:
        raise InvalidRequest(
            f"{model.name} has no calibration that fits it; see mulan models calibrate",
            "calibration-missing",
        )
    return model.calibration


def _check_count(images: int, settings: Settings) -> None:
    if not images:
        raise InvalidRequest.at("images", "should hold at least one image")
    if images > settings.max_images:
        raise TooLarge("too-many-images", f"{images} images; at most {settings.max_images}")


def _cost(formula: str, factors: tuple[int, ...], settings: Settings) -> int:
    predicted = math.prod(factors)
    if predicted > settings.max_row_evaluations:
        numbers = " x ".join(str(factor) for factor in factors)
        raise InvalidRequest(
            f"{predicted} row-evaluations predicted ({formula} = {numbers}); "
            f"at most {settings.max_row_evaluations}",
            "request-too-expensive",
        )
    return predicted


def _check_latent(indices: list[int], model: ServedModel) -> None:
    n, k = model.config.latent_size, model.config.latent_k
    if not n:
        raise InvalidRequest.at("latent", "should be left out: this model has none")
    if len(indices) != k or len(set(indices)) != k or max(indices) >= n:
        raise InvalidRequest.at("latent", f"should be {k} distinct indices from 0 to {n - 1}")
