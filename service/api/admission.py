"""From a valid request to a job, or a refusal that has cost no model time."""

import math
import secrets
import time
import uuid

from models.anomaly.calibration import Calibration
from models.specs import EXACT_DIMENSIONS, Adams, SamplerSpec
from service.catalogue import ServedModel
from service.contracts import (
    MAX_SEED,
    AnomalyParameters,
    LikelihoodParameters,
    Preset,
    SampleRequest,
)
from service.errors import InvalidRequest, TooLarge
from service.jobs import AnomalyTask, Job, SampleTask, ScoreTask, Task, Tokens
from service.settings import Settings


def sample_task(request: SampleRequest, model: ServedModel, settings: Settings) -> SampleTask:
    """The task with its solver and seed resolved. Raises InvalidRequest."""
    if request.count > settings.max_images:
        raise InvalidRequest.at("count", f"should be at most {settings.max_images}")
    solver = request.solver
    spec: SamplerSpec = model.presets[solver.preset] if isinstance(solver, Preset) else solver
    latent = None if request.latent == "prior" else _checked_latent(request.latent, model)
    _check_cost("images x steps", (request.count, spec.evaluations), settings)
    seed = secrets.randbelow(MAX_SEED + 1) if request.seed is None else request.seed
    return SampleTask(spec, seed, request.count, latent)


def check_scores(
    request: LikelihoodParameters, model: ServedModel, images: int, settings: Settings
) -> None:
    """Judge a scoring request by its numbers alone. Raises TooLarge, InvalidRequest."""
    _check_count(images, settings)
    spec, dimensions = scoring(request), model.config.dimensions
    if spec.trace == "exact" and dimensions > EXACT_DIMENSIONS:
        raise InvalidRequest.at(
            "trace",
            f"should be probes: an image has {dimensions} values, more than {EXACT_DIMENSIONS}",
        )
    products = spec.products(dimensions)
    factors = (images, request.draws, products, spec.expected_evaluations)
    _check_cost("images x draws x probes x steps", factors, settings)


def score_task(request: LikelihoodParameters, images: Tokens) -> ScoreTask:
    """The task with every parameter resolved."""
    return ScoreTask(scoring(request), request.seed, request.draws, images)


def check_verdicts(
    request: AnomalyParameters, model: ServedModel, images: int, settings: Settings
) -> Calibration:
    """Judge a request for verdicts by its numbers alone; the calibration that it will be judged
    by. Raises TooLarge, InvalidRequest."""
    _check_count(images, settings)
    calibration = model.calibration
    if calibration is None:
        raise InvalidRequest(
            f"{model.name} has no calibration that fits it; see mulan models calibrate",
            "calibration-missing",
        )
    least = calibration.smallest_alpha
    if request.alpha < least:
        count = calibration.calibration_images.images
        raise InvalidRequest.at(
            "alpha", f"should be at least 1/(m + 1) = {least:.4g}, with m = {count}"
        )
    solver = calibration.solver
    factors = (images, solver.probes, solver.evaluations)
    _check_cost("images x probes x steps", factors, settings)
    return calibration


def anomaly_task(
    request: AnomalyParameters, calibration: Calibration, images: Tokens
) -> AnomalyTask:
    """The task, to be solved as the calibration was."""
    return AnomalyTask(calibration.solver, request.seed, images)


def scoring(request: LikelihoodParameters) -> Adams:
    """The ODE solver's parameters."""
    return Adams(
        probes=request.probes,
        trace=request.trace,
        latent=request.latent,
        tolerance_nats=request.tolerance_nats,
    )


def job(
    task: Task, model: ServedModel, timeout_s: float | None, owner: str, settings: Settings
) -> Job:
    """A job from now on; its deadline within the server's limit."""
    now = time.time()
    wait = min(timeout_s or settings.default_timeout_s, settings.max_timeout_s)
    return Job(uuid.uuid4().hex, model.checkpoint, task, now + wait, now, owner)


def _check_count(images: int, settings: Settings) -> None:
    if not images:
        raise InvalidRequest.at("images", "should hold at least one image")
    if images > settings.max_images:
        raise TooLarge("too-many-images", f"{images} images; at most {settings.max_images}")


def _check_cost(formula: str, factors: tuple[int, ...], settings: Settings) -> None:
    predicted = math.prod(factors)
    if predicted > settings.max_row_evaluations:
        numbers = " x ".join(str(factor) for factor in factors)
        raise InvalidRequest(
            f"{predicted} row-evaluations predicted ({formula} = {numbers}); "
            f"at most {settings.max_row_evaluations}",
            "request-too-expensive",
        )


def _checked_latent(indices: list[int], model: ServedModel) -> tuple[int, ...]:
    n, k = model.config.latent_size, model.config.latent_k
    if not n:
        raise InvalidRequest.at("latent", "should be left out: this model has none")
    if len(indices) != k or len(set(indices)) != k or max(indices) >= n:
        raise InvalidRequest.at("latent", f"should be {k} distinct indices from 0 to {n - 1}")
    return tuple(indices)
