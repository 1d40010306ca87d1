"""POST /v1/likelihoods."""

from dataclasses import asdict
from math import isfinite

from fastapi import APIRouter, Request, Response

from models.schema.scores import Score
from service.api import admission, documentation, waiting
from service.api.context import Context, InContext
from service.api.headers import server_timing, timing
from service.api.images import count, decode, json_images, read_images
from service.api.kinds import Asked, KindOfWork
from service.api.negotiation import JSON
from service.catalogue import ServedModel
from service.contracts.likelihoods import (
    ImageScore,
    LikelihoodParameters,
    LikelihoodRequest,
    LikelihoodResponse,
    LikelihoodSettings,
    ScoreTerms,
)
from service.jobs import ScoreResult, ScoreTask
from service.store.base import JobRecord

router = APIRouter(tags=["likelihoods"])


@router.post(
    "/v1/likelihoods",
    summary="Score images and wait",
    response_class=Response,
    responses=documentation.answers(LikelihoodResponse, {}),
    openapi_extra=documentation.likelihood_body(),
)
async def create_likelihoods(request: Request, context: InContext) -> Response:
    """Log-likelihoods of images, in nats, each with its errors. Noise is keyed by the seed and the
    image's content: a score depends neither on the image's position nor on its neighbours."""
    return await waiting.answer(LIKELIHOODS, request, context)


async def _read(request: Request, context: Context) -> Asked:
    return Asked(*await read_images(request, context, LikelihoodParameters, LikelihoodRequest))


async def _take(wanted: LikelihoodRequest, context: Context) -> Asked:
    return Asked(wanted, await json_images(wanted.images, context))


def _price(asked: Asked, model: ServedModel, context: Context) -> int:
    return admission.score_cost(asked.wanted, model, count(asked.parts), context.settings)


def _task(asked: Asked, model: ServedModel, context: Context) -> ScoreTask:
    return admission.score_task(asked.wanted, decode(asked.parts, model, context))


def _render(media_type: str, record: JobRecord, model: ServedModel) -> Response:
    job, task, result = record.job, record.job.task, record.outcome
    assert isinstance(task, ScoreTask)
    assert isinstance(result, ScoreResult)
    solver = task.solver
    answer = LikelihoodResponse(
        id=job.id,
        model=job.model,
        checkpoint=job.checkpoint,
        execution=result.execution,
        results=tuple(_score(index, score) for index, score in enumerate(result.scores)),
        settings=LikelihoodSettings(
            draws=task.draws,
            probes=None if solver.trace == "exact" else solver.probes,
            trace=solver.trace,
            latent=solver.latent,
            tolerance_nats=solver.tolerance_nats,
            max_evaluations=solver.max_evaluations,
            seed=task.seed,
        ),
        timing=timing(record),
    )
    return Response(answer.model_dump_json(), headers=server_timing(record), media_type=JSON)


def _score(index: int, score: Score) -> ImageScore:
    """One result; a number that is not finite makes it a failure, never a number."""
    values = asdict(score)
    terms = {name: values.pop(name) for name in ScoreTerms.model_fields}
    numbers = {name: value for name, value in (values | terms).items() if name != "reason"}
    if score.ok and not all(value is None or isfinite(value) for value in numbers.values()):
        return _score(index, Score(nfe=score.nfe, reason="the likelihood is not finite"))
    return ImageScore(
        index=index,
        status="ok" if score.ok else "failed",
        terms=ScoreTerms(**terms),
        **values,
    )


LIKELIHOODS = KindOfWork((JSON,), _read, _take, _price, _task, _render)
