"""POST /v1/likelihoods."""

from dataclasses import asdict
from math import isfinite

import anyio
import numpy as np
from fastapi import APIRouter, Request, Response

from models.scores import Score
from service import codec
from service.api import admission, documentation, waiting
from service.api.bodies import from_base64, parse_fields, read_json, read_multipart
from service.api.context import Context, InContext
from service.api.headers import server_timing, timing
from service.api.negotiation import JSON, MULTIPART, NPY, answer_type, body_type
from service.catalogue import ServedModel
from service.codec import Part
from service.contracts import (
    ImageScore,
    LikelihoodAnswer,
    LikelihoodParameters,
    LikelihoodRequest,
    LikelihoodSettings,
    ScoreTerms,
)
from service.errors import InvalidRequest, MalformedBody, TooLarge
from service.jobs import Job, ScoreResult, ScoreTask, Tokens
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
        wanted, parts = await _read(request, context)
        model = context.catalogue.get(wanted.model)
        images = await anyio.to_thread.run_sync(_decode, wanted, parts, model, context)
        task = admission.score_task(wanted, images)
        job = admission.job(task, model, wanted.timeout_s, request.state.owner, context.settings)
        result, record = await waiting.run(job, context, request)
        assert isinstance(result, ScoreResult)
        return await anyio.to_thread.run_sync(_render, job, task, result, record, model)


async def _read(request: Request, context: Context) -> tuple[LikelihoodParameters, list[Part]]:
    limit = context.settings.max_images
    query = request.query_params.multi_items()
    match body_type(request, (MULTIPART, NPY, JSON)):
        case "application/json":
            wanted = await read_json(request, LikelihoodRequest)
            if query:
                raise InvalidRequest.at(query[0][0], "goes into the JSON body, not into the query")
            if len(wanted.images) > limit:
                raise TooLarge("too-many-images", f"{len(wanted.images)} images; at most {limit}")
            parts = await anyio.to_thread.run_sync(from_base64, wanted.images, "images")
            if any(part.form != "png" for part in parts):
                raise MalformedBody("images: JSON carries PNGs only")
            return wanted, parts
        case "application/x-npy":
            part = Part("images", await request.body())
            if part.form != "npy":
                raise MalformedBody("the body is not a .npy")
            return parse_fields(query, LikelihoodParameters), [part]
        case _:
            parts, fields = await read_multipart(request, "images", limit)
            return parse_fields([*query, *fields], LikelihoodParameters), parts


def _decode(
    wanted: LikelihoodParameters, parts: list[Part], model: ServedModel, context: Context
) -> Tokens:
    """Count and price first, decode then."""
    settings = context.settings
    admission.check_scores(wanted, sum(codec.count_images(part) for part in parts), settings)
    return np.concatenate(
        [codec.decode(part, model.config, settings.max_image_pixels) for part in parts]
    )


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
