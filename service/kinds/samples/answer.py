"""Drawn images as an answer: JSON with PNGs, one contact sheet, or one array."""

import base64
from typing import Any

from models.files.pictures import contact_sheet, encode_png
from service.images.npy import encode_npy
from service.kind import Binary, Finished
from service.kinds.samples.contract import SampledImage, SampleResponse
from service.kinds.samples.task import SampleResult, SampleTask

FinishedSamples = Finished[SampleTask, SampleResult]


def answer(finished: FinishedSamples) -> SampleResponse:
    """The answer as JSON."""
    job, result, vocabulary = finished.job, finished.result, finished.model.config.vocabulary
    rows: Any = zip(result.images, result.nfe, result.acceptance_rate, result.latents, strict=True)
    return SampleResponse(
        id=job.id,
        model=job.model,
        checkpoint=job.checkpoint,
        execution=result.execution,
        seed=job.task.seed,
        solver=job.task.solver,
        images=tuple(
            SampledImage(
                index=index,
                png=base64.b64encode(encode_png(image, vocabulary)).decode(),
                nfe=nfe,
                acceptance_rate=rate,
                latent=latent,
            )
            for index, (image, nfe, rate, latent) in enumerate(rows)
        ),
        timing=finished.timing,
    )


def sheet(finished: FinishedSamples) -> bytes:
    """All images in one PNG."""
    return contact_sheet(finished.result.images, finished.model.config.vocabulary)


def array(finished: FinishedSamples) -> bytes:
    """All images as one .npy of tokens."""
    return encode_npy(finished.result.images)


BINARIES = {
    "image/png": Binary(sheet, "One contact sheet, images enlarged."),
    "application/x-npy": Binary(array, "Tokens `[count, H, W, C]`, uint8."),
}
