"""A kind of work: how it is read, priced, made into a task, and answered with."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastapi import Request, Response

from service.api.context import Context
from service.catalogue import ServedModel
from service.images.upload import Upload
from service.jobs import Task
from service.store.base import JobRecord


class Asked(NamedTuple):
    """A request that was read: its parameters, and its images, not yet decoded."""

    wanted: Any
    parts: Sequence[Upload] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of what was asked, defaults filled in; not of how it was written."""
        whole = hashlib.sha256(self.wanted.model_dump_json().encode())
        for part in self.parts:
            whole.update(hashlib.sha256(part.content).digest())
        return whole.hexdigest()


@dataclass(frozen=True, slots=True)
class KindOfWork:
    """One for each waiting endpoint. `offers`: media types of its answers, the last the default.
    `price` judges by numbers alone; `task` decodes and may take a while; so may `render`."""

    offers: tuple[str, ...]
    read: Callable[[Request, Context], Awaitable[Asked]]
    take: Callable[[Any, Context], Awaitable[Asked]]
    price: Callable[[Asked, ServedModel, Context], int]
    task: Callable[[Asked, ServedModel, Context], Task]
    render: Callable[[str, JobRecord, ServedModel], Response]
