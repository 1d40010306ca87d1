"""The task of showing schedules, its price and its result."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.schema.arrays import RawArray
from service.catalogue import ServedModel
from service.errors import InvalidRequest
from service.jobs import Decoded, Tokens, WrittenTiling
from service.kinds.schedules.contract import ScheduleParameters, ScheduleRequest
from service.price import Quote
from service.settings import Settings

# Values of gamma, at all times and in all pixels of all schedules of one request.
MOST_VALUES = 2**24

Coefficients = Annotated[NDArray[np.float32], RawArray("<f4", axes=5)]


class Tabulation(BaseModel):
    """The times at which schedules are tabulated: `points` of them, evenly spread over [0, 1]."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["schedule"] = "schedule"
    points: int


@dataclass(frozen=True, slots=True)
class ScheduleTask:
    """Show the schedules of `latents`, each the indices of its ones, or of `images`, tokens
    `[N, H, W, C]`; one of the two is empty. `tiling` says which photographs the images are tiles
    of."""

    kind: ClassVar[str] = "schedules"
    seed: ClassVar[int] = 0

    solver: Tabulation
    latents: tuple[tuple[int, ...], ...]
    images: Tokens
    tiling: WrittenTiling = None

    @property
    def rows(self) -> int:
        """One row a schedule."""
        return len(self.latents) or len(self.images)


@dataclass(frozen=True, slots=True)
class ScheduleResult:
    """The latents, each the indices of its ones, and the coefficients a, b and c of their schedules
    `[N, 3, H, W, C]`."""

    kind: ClassVar[str] = "schedules"

    latents: tuple[tuple[int, ...], ...]
    coefficients: Coefficients
    execution: str


def quote(
    request: ScheduleParameters, images: int, model: ServedModel, settings: Settings
) -> Quote:
    """The price of one evaluation for each schedule. Raises InvalidRequest."""
    latents = _latents(request, images, model)
    if len(latents) > settings.max_images:
        raise InvalidRequest.at("latents", f"should hold at most {settings.max_images} latents")
    schedules = images or len(latents)
    values = schedules * request.points * model.config.dimensions
    if values > MOST_VALUES:
        raise InvalidRequest.at(
            "points",
            f"should be fewer, or fewer schedules asked for: {schedules} schedules x "
            f"{request.points} points x {model.config.dimensions} values of an image are {values} "
            f"numbers; at most {MOST_VALUES}",
        )
    return Quote(schedules, 1)


def make(request: ScheduleParameters, images: Decoded, model: ServedModel) -> ScheduleTask:
    """The task with its latents resolved. Raises InvalidRequest."""
    latents = _latents(request, len(images.tokens), model)
    return ScheduleTask(Tabulation(points=request.points), latents, images.tokens, images.tiling)


def _latents(
    request: ScheduleParameters, images: int, model: ServedModel
) -> tuple[tuple[int, ...], ...]:
    """The latents that are asked for by their indices: none where there are images. Raises
    InvalidRequest."""
    given = request.latents if isinstance(request, ScheduleRequest) else ()
    n, k = model.config.latent_size, model.config.latent_k
    if given and images:
        raise InvalidRequest.at("latents", "should be left out: the images' own latents are shown")
    if images:
        return ()
    if given and not n:
        raise InvalidRequest.at("latents", "should be left out: this model has none")
    if not n:
        return ((),)
    if not given:
        raise InvalidRequest.at(
            "latents",
            f"should hold at least one latent, {_indices(n, k)}, or images at least one image",
        )
    for place, latent in enumerate(given):
        if not _is_latent(latent, n, k):
            raise InvalidRequest.at(f"latents[{place}]", f"should be {_indices(n, k)}")
    return tuple(tuple(sorted(latent)) for latent in given)


def _is_latent(indices: Sequence[int], n: int, k: int) -> bool:
    return len(indices) == len(set(indices)) == k and max(indices) < n


def _indices(n: int, k: int) -> str:
    return f"one index from 0 to {n - 1}" if k == 1 else f"{k} distinct indices from 0 to {n - 1}"
