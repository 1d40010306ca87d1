"""Drawn images as an answer: JSON with PNGs, one contact sheet, or one array."""

import base64
from collections.abc import Sequence
from typing import Any

from models.files.pictures import contact_sheet, encode_png
from service.images.npy import encode_npy
from service.kind import Binary, Finished
from service.kinds.samples.contract import SampledImage, SampleResponse
from service.kinds.samples.task import SampleResult, SampleTask

FinishedSamples = Finished[SampleTask, SampleResult]
_LONGEST_HEADER = 4096


def answer(finished: FinishedSamples) -> SampleResponse:
    """The answer as JSON."""
    job, result, vocabulary = finished.job, finished.result, finished.model.config.vocabulary
    latents, labels = conditions(finished)
    columns = result.images, result.nfe, result.acceptance_rate, latents, labels
    rows: Any = zip(*columns, strict=True)
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
                class_label=label,
            )
            for index, (image, nfe, rate, latent, label) in enumerate(rows)
        ),
        timing=finished.timing,
    )


def conditions(
    finished: FinishedSamples,
) -> tuple[Sequence[tuple[int, ...]], Sequence[int | None]]:
    """The latent and the class of each image. The engine has a class as a latent of one one."""
    latents = finished.result.latents
    if finished.model.config.classes:
        return [()] * len(latents), [label for (label,) in latents]
    return latents, [None] * len(latents)


def headers(finished: FinishedSamples) -> dict[str, str]:
    """The class of each image, for answers that are nothing but data. Past what clients and proxies
    take for a header there is none."""
    text = ",".join(str(label) for label in conditions(finished)[1] if label is not None)
    return {"X-Mulan-Class-Labels": text} if 0 < len(text) <= _LONGEST_HEADER else {}


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
