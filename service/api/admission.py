"""Valid requests become jobs, or are refused before they have cost any model time."""

import time
from typing import NamedTuple

import numpy as np

from service.api import images
from service.api.context import Context
from service.api.kinds import Asked
from service.catalogue import ServedModel
from service.contracts.base import PRIORITIES
from service.errors import InvalidRequest, TooLarge
from service.jobs import Decoded, Job, Task
from service.kind import AnyKind
from service.settings import Settings


class Caller(NamedTuple):
    """The sender of a request: `owner` is the digest of its key; `request_id` and `trace` name the
    request in logs and traces."""

    owner: str
    request_id: str = ""
    trace: str = ""


def cost(kind: AnyKind, asked: Asked, model: ServedModel, settings: Settings) -> int:
    """The predicted price in row-evaluations, by the request's numbers alone.

    Raises BadRequest: too-many-images, request-too-expensive, and whatever the kind refuses.
    """
    count = 0
    if kind.takes_images:
        count = images.count(asked.parts, model, settings)
        _check_count(count, kind.least_images, settings)
    quote = kind.quote(asked.wanted, count, model, settings)
    if quote.row_evaluations > settings.max_row_evaluations:
        raise InvalidRequest(
            f"{quote.row_evaluations} row-evaluations predicted ({quote.formula}); "
            f"at most {settings.max_row_evaluations}",
            "request-too-expensive",
        )
    return quote.row_evaluations


def task(kind: AnyKind, asked: Asked, model: ServedModel, context: Context) -> Task:
    """The task with images decoded, which may take a while. Raises BadRequest."""
    decoded = Decoded(np.empty((0, *model.config.image_shape), np.uint8))
    if asked.parts:
        decoded = images.decode(asked.parts, model, context.settings)
    made: Task = kind.make(asked.wanted, decoded, model)
    return made


def job(
    job_id: str,
    task: Task,
    model: ServedModel,
    wait: float,
    asked: Asked,
    caller: Caller,
    cost: int,
    settings: Settings,
) -> Job:
    """A new job of this id that is created now, with a deadline within the server's limit."""
    now = time.time()
    return Job(
        id=job_id,
        checkpoint=model.checkpoint,
        task=task,
        deadline=now + min(wait, settings.max_timeout_s),
        created_at=now,
        owner=caller.owner,
        priority=PRIORITIES[asked.wanted.priority],
        model=model.name,
        cost=cost,
        request_id=caller.request_id,
        trace=caller.trace,
        callback_url=asked.callback_url,
    )


def _check_count(count: int, least: int, settings: Settings) -> None:
    if count < least:
        raise InvalidRequest.at("images", "should hold at least one image")
    if count > settings.max_images:
        raise TooLarge("too-many-images", f"{count} images; at most {settings.max_images}")
