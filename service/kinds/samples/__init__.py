"""Images drawn from a model: POST /v1/samples."""

from service.kind import Kind
from service.kinds.samples import examples, metrics
from service.kinds.samples.answer import BINARIES, answer, headers
from service.kinds.samples.contract import SampleRequest, SampleResponse
from service.kinds.samples.task import SampleResult, SampleTask, make, quote
from service.kinds.samples.tensors import TENSORS

KIND = Kind(
    package=__name__,
    summary="Generate images and wait",
    description="Images drawn from a model. (checkpoint, solver, seed, index, execution), and the "
    "class where there are classes, determine each one, whatever else the server is doing.",
    request=SampleRequest,
    response=SampleResponse,
    task=SampleTask,
    result=SampleResult,
    quote=quote,
    make=make,
    answer=answer,
    binaries=BINARIES,
    headers=headers,
    examples=examples.SAMPLES,
    job_examples=examples.JOBS,
    metrics=metrics.METRICS,
    measure=metrics.measure,
    tensors=TENSORS,
)
