"""The answer of a job as an answer of the Open Inference Protocol."""

from typing import NamedTuple

from starlette.responses import Response

from service.api.kinds import finished_job, server_timing
from service.api.negotiation import JSON
from service.api.open_inference import binary
from service.api.open_inference.contract import InferResponse, OutputTensor, Value
from service.api.open_inference.reading import HEADER, Wish
from service.api.open_inference.variants import CURRENT, Variant
from service.catalogue import ServedModel
from service.contracts.base import Timing
from service.jobs import Result, Task
from service.kind import Finished
from service.store.base import JobRecord

OCTETS = "application/octet-stream"


class Inferred(NamedTuple):
    """An answer, the number of images that it is about, and the times of its job."""

    response: Response
    images: int
    timing: Timing


def render(variant: Variant, wish: Wish, record: JobRecord, model: ServedModel) -> Inferred:
    """Return the answer of a job that has succeeded. Takes a while where images are encoded."""
    finished = finished_job(variant.kind, record, model)
    specs = {spec.name: spec for spec in variant.form.outputs(model)}
    tensors = variant.form.make(finished, list(wish.outputs))
    outputs, behind = [], []
    for name, is_binary in wish.outputs.items():
        tensor = tensors[name]
        data, parameters = None, None
        if is_binary:
            behind.append(binary.to_binary(tensor))
            parameters = {binary.SIZE: len(behind[-1])}
        else:
            data = binary.to_json(tensor, specs[name])
        outputs.append(
            OutputTensor(
                name=name,
                datatype=tensor.datatype,
                shape=list(tensor.shape),
                data=data,
                parameters=parameters,
            )
        )
    answer = InferResponse(
        model_name=variant.name,
        model_version=CURRENT,
        id=wish.id,
        parameters=_facts(finished),
        outputs=outputs,
    )
    text = answer.model_dump_json().encode()
    headers = server_timing(finished.timing)
    if behind:
        headers[HEADER] = str(len(text))
    body = b"".join((text, *behind))
    images = next(iter(tensors.values())).shape[0]
    response = Response(body, 200, headers, OCTETS if behind else JSON)
    return Inferred(response, images, finished.timing)


def _facts(finished: Finished[Task, Result]) -> dict[str, Value]:
    job = finished.job
    return {
        "job": job.id,
        "checkpoint": job.checkpoint,
        "execution": finished.result.execution,
        "seed": job.task.seed,
        "solver": job.task.solver.model_dump_json(),
        "queued_s": finished.timing.queued_s,
        "running_s": finished.timing.running_s,
    }
