"""A program that uses a generated client: it draws, scores, judges, queues and meets an error."""

import json
import sys
import time

from mulan_client import Client
from mulan_client.api.anomalies import create_anomalies
from mulan_client.api.jobs import create_job, show_job, show_result
from mulan_client.api.likelihoods import create_likelihoods
from mulan_client.api.models import show_model
from mulan_client.api.open_inference import create_inference
from mulan_client.api.samples import create_samples
from mulan_client.models import (
    AnomalyRequest,
    Ddpm,
    InferRequest,
    JobResponse,
    JobResponseStatus,
    LikelihoodRequest,
    ProblemDetails,
    SampleJob,
    SampleRequest,
    SampleResponse,
)


def main(address: str) -> None:
    client = Client(base_url=address, timeout=300.0)
    model = show_model.sync("digits", client=client)
    assert model.image_shape == [8, 8, 1]
    request = SampleRequest(model="digits", count=2, seed=7, solver=Ddpm(name="ddpm", steps=5))
    drawn = create_samples.sync(client=client, body=request)
    assert isinstance(drawn, SampleResponse)
    assert drawn.solver.steps == 5
    pngs = [image.png for image in drawn.images]
    scored = create_likelihoods.sync(
        client=client, body=LikelihoodRequest(model="digits", images=pngs, probes=1)
    )
    judged = create_anomalies.sync(
        client=client, body=AnomalyRequest(model="digits", images=pngs, alpha=0.1)
    )
    job = create_job.sync(client=client, body=SampleJob(kind="samples", request=request))
    assert isinstance(job, JobResponse)
    while job.status in (JobResponseStatus.QUEUED, JobResponseStatus.RUNNING):
        time.sleep(0.1)
        job = show_job.sync(job.id, client=client)
    later = show_result.sync(job.id, client=client)
    assert isinstance(later, SampleResponse)
    inferred = create_inference.sync("digits", client=client, body=InferRequest())
    problem = create_samples.sync(client=client, body=SampleRequest(model="nobody"))
    assert isinstance(problem, ProblemDetails)
    told = {
        "same": [image.png for image in later.images] == pngs,
        "bits": [row.bits_per_dim for row in scored.results],
        "verdicts": [row.is_anomaly for row in judged.results],
        "outputs": [one.name for one in inferred.outputs],
        "code": problem.code,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
