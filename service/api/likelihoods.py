"""POST /v1/likelihoods."""

from dataclasses import asdict
from math import isfinite

import anyio
from fastapi import APIRouter, Request, Response

from models.scores import Score
from service.api import admission, documentation, waiting
from service.api.context import InContext
from service.api.headers import server_timing, timing
from service.api.images import count, decode, read_images
from service.api.negotiation import JSON, answer_type
from service.catalogue import ServedModel
from service.contracts import (
    ImageScore,
    LikelihoodAnswer,
    LikelihoodParameters,
    LikelihoodRequest,
    LikelihoodSettings,
    ScoreTerms,
)
from service.jobs import Job, ScoreResult, ScoreTask
from service.store.base import Record

router = APIRouter(tags=["likelihoods"])


@router.post(
    "/v1/likelihoods",
    summary="Score images and wait",
    response_class=Response,
    responses=documentation.answers(LikelihoodAnswer, {}),
    openapi_extra=documentation.likelihood_body(),
)
async def create_likelihoods(request: Request, context: InContext) -> Response:
    """Log-likelihoods of images, in nats, each with its errors. Noise is keyed by the seed and the
    image's content: a score depends neither on the image's position nor on its neighbours."""
    with context.gate.enter():
        answer_type(request, (JSON,))
        wanted, parts = await read_images(request, context, LikelihoodParameters, LikelihoodRequest)
        model = context.catalogue.get(wanted.model)
        admission.check_scores(wanted, model, count(parts), context.settings)
        images = await anyio.to_thread.run_sync(decode, parts, model, context)
        task = admission.score_task(wanted, images)
        job = admission.job(task, model, wanted.timeout_s, request.state.owner, context.settings)
        result, record = await waiting.run(job, context, request)
        assert isinstance(result, ScoreResult)
        return await anyio.to_thread.run_sync(_render, job, task, result, record, model)


def _render(
    job: Job, task: ScoreTask, result: ScoreResult, record: Record, model: ServedModel
) -> Response:
    solver = task.solver
    answer = LikelihoodAnswer(
        id=job.id,
        model=model.name,
        checkpoint=job.checkpoint,
        execution=result.execution,
        results=tuple(_score(index, score) for index, score in enumerate(result.scores)),
        settings=LikelihoodSettings(
            draws=task.draws,
            probes=solver.probes,
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
