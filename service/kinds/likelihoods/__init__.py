"""Log-likelihoods of images: POST /v1/likelihoods."""

from service.kind import Kind
from service.kinds.likelihoods import examples, metrics
from service.kinds.likelihoods.answer import answer
from service.kinds.likelihoods.contract import (
    LikelihoodParameters,
    LikelihoodRequest,
    LikelihoodResponse,
)
from service.kinds.likelihoods.task import ScoreResult, ScoreTask, make, quote
from service.kinds.likelihoods.tensors import TENSORS

KIND = Kind(
    package=__name__,
    summary="Score images and wait",
    description="Log-likelihoods of images, in nats, each with its errors. Noise is keyed by the "
    "seed and the image's content: a score depends neither on the image's position nor on its "
    "neighbours.",
    request=LikelihoodRequest,
    parameters=LikelihoodParameters,
    response=LikelihoodResponse,
    task=ScoreTask,
    result=ScoreResult,
    quote=quote,
    make=make,
    answer=answer,
    examples=examples.LIKELIHOODS,
    metrics=metrics.METRICS,
    measure=metrics.measure,
    tensors=TENSORS,
)
