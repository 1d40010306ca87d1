"""GET /v1/models."""

import math
from typing import Annotated, Any

from fastapi import APIRouter, Path

from models.anomaly.conformal import smallest_alpha
from models.anomaly.kept import AnyCalibration
from models.anomaly.statistic_words import in_words
from service.api import documentation
from service.api.context import InContext
from service.catalogue import ServedModel
from service.contracts.models import (
    CalibrationResponse,
    Latent,
    Limits,
    ModelListResponse,
    ModelResponse,
    Statistic,
)
from service.contracts.photographs import described
from service.kinds.anomalies.task import calibration_of
from service.settings import Settings

router = APIRouter(tags=["models"])


ModelPath = Annotated[str, Path(description="Name of a model, as GET /v1/models lists it.")]


@router.get(
    "/v1/models",
    summary="Models that are served",
    responses=documentation.problems(401, 503),
)
async def list_models(context: InContext) -> ModelListResponse:
    """Every served checkpoint with its shape, limits and solver presets."""
    context.gate.check()
    return ModelListResponse(
        models=tuple(_describe(model, context.settings) for model in context.catalogue)
    )


@router.get(
    "/v1/models/{name}",
    summary="One model",
    responses=documentation.problems(401, 404, 503),
)
async def show_model(name: ModelPath, context: InContext) -> ModelResponse:
    """One served checkpoint."""
    context.gate.check()
    return _describe(context.catalogue.get(name), context.settings)


@router.get(
    "/v1/models/{name}/calibration",
    summary="Calibration of one model",
    responses=documentation.problems(401, 404, 422, 503),
)
async def show_calibration(name: ModelPath, context: InContext) -> CalibrationResponse:
    """The scores that p-values rest on: a new score is ranked among them."""
    context.gate.check()
    model = context.catalogue.get(name)
    calibration = calibration_of(model)
    scores = [score for score in calibration.ranked_scores if math.isfinite(score)]
    return CalibrationResponse(
        checkpoint=model.checkpoint,
        ranked="images" if calibration.pictures is None else "photographs",
        scores=tuple(scores),
        failed=len(calibration.ranked_scores) - len(scores),
        smallest_alpha=smallest_alpha(len(calibration.ranked_scores)),
        statistics=tuple(
            Statistic(name=one, description=in_words(one)) for one in calibration.reported
        ),
    )


def _summary(calibration: AnyCalibration) -> dict[str, Any]:
    """Summarise a calibration without its scores."""
    wanted = {
        "checkpoint",
        "solver",
        "seed",
        "density_images",
        "calibration_images",
        "power",
        "command",
    }
    pictures, least = calibration.pictures, calibration.smallest_alpha
    found = calibration.model_dump(mode="json", include=wanted)
    if pictures is not None:
        found["pictures"] = pictures.model_dump(mode="json", exclude={"scores"})
        least = pictures.smallest_alpha
    return {
        **found,
        "smallest_alpha": least,
        "statistics": calibration.names,
    }


def _describe(model: ServedModel, settings: Settings) -> ModelResponse:
    config = model.config
    return ModelResponse(
        name=model.name,
        checkpoint=model.checkpoint,
        image_shape=config.image_shape,
        vocabulary=config.vocabulary,
        preprocessing=described(model.manifest.preprocessing),
        latent=Latent(n=config.latent_size, k=config.latent_k),
        classes=config.classes or None,
        parameters=model.manifest.parameters,
        parameterisation=config.parameterisation,
        runtime=model.execution,
        limits=Limits(
            max_images=settings.max_images,
            max_body_bytes=settings.max_body_bytes,
            max_row_evaluations=settings.max_row_evaluations,
            max_timeout_s=settings.max_timeout_s,
        ),
        presets=model.presets,
        calibration=None if model.calibration is None else _summary(model.calibration),
        evaluation=model.manifest.evaluation,
    )
