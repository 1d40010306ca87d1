"""The task of scoring images, its price and its result."""

import math
from dataclasses import dataclass
from typing import ClassVar

from models.schema.aims import PROBES, Aim, tolerance
from models.schema.scores import Score
from models.schema.specs import EXACT_DIMENSIONS, Adams
from service.catalogue import ServedModel
from service.contracts.classes import labels_of
from service.contracts.photographs import check_tiles
from service.errors import InvalidRequest
from service.jobs import (
    Decoded,
    Tokens,
    WrittenFlag,
    WrittenLabels,
    WrittenShare,
    WrittenTiling,
)
from service.kinds.likelihoods.contract import LikelihoodParameters
from service.price import Quote
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class ScoreTask:
    """Score images, tokens `[N, H, W, C]`, with `draws` dequantizations each; `tiling` says which
    photographs they are tiles of, and `tiles` whether the answer has the tiles' own scores.
    `labels` is the class of each image; with None a model of classes is scored over all of them.

    Where `standard_error_nats` is the total error asked for, the solver's `max_evaluations` bound
    all solves of an image, or of a photograph, together.
    """

    kind: ClassVar[str] = "likelihoods"

    solver: Adams
    seed: int
    draws: int
    images: Tokens
    tiling: WrittenTiling = None
    tiles: WrittenFlag = False
    labels: WrittenLabels = None
    standard_error_nats: WrittenShare = None

    @property
    def rows(self) -> int:
        """One row a draw, before any are added for an error that was asked for."""
        return len(self.images) * self.draws

    @property
    def aims(self) -> list[Aim | None]:
        """The error that is asked of each image, and its evaluations; tiles of one photograph have
        equal parts of both."""
        asked, bound = self.standard_error_nats, self.solver.max_evaluations
        if asked is None:
            return [None] * len(self.images)
        counts = (1,) * len(self.images) if self.tiling is None else self.tiling.counts
        return [
            Aim(asked / math.sqrt(count), bound // count) for count in counts for _ in range(count)
        ]


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """One score an image, in the order of the request."""

    kind: ClassVar[str] = "likelihoods"

    scores: tuple[Score, ...]
    execution: str


def quote(
    request: LikelihoodParameters, images: int, model: ServedModel, settings: Settings
) -> Quote:
    """The price by the expected evaluations of a solve, or by their bound where an error is asked
    for. Raises InvalidRequest."""
    _check_error(request)
    spec, dimensions = solver(request), model.config.dimensions
    if spec.trace == "exact" and dimensions > EXACT_DIMENSIONS:
        raise InvalidRequest.at(
            "trace",
            f"should be probes: an image has {dimensions} values, more than {EXACT_DIMENSIONS}",
        )
    labels = labels_of(request.class_label, images, model.manifest)
    classes = model.config.classes or None if labels is None else None
    products = spec.products(dimensions)
    if request.standard_error_nats is None:
        return Quote(images, spec.expected_evaluations, request.draws, products, classes)
    if classes is not None:
        raise InvalidRequest.at(
            "standard_error_nats", "is for scores of one class: give class_label too"
        )
    # All draws of an image together stay within the bound.
    return Quote(images, spec.max_evaluations, probes=products)


def make(request: LikelihoodParameters, images: Decoded, model: ServedModel) -> ScoreTask:
    """The task with every parameter resolved. Raises InvalidRequest."""
    check_tiles(request.tiles, images)
    labels = labels_of(request.class_label, len(images.tokens), model.manifest)
    return ScoreTask(
        *(solver(request), request.seed, request.draws, images.tokens, images.tiling),
        *(request.tiles, labels, request.standard_error_nats),
    )


def solver(request: LikelihoodParameters) -> Adams:
    """The ODE solver's parameters."""
    asked = Adams(
        probes=request.probes,
        trace=request.trace,
        latent=request.latent,
        tolerance_nats=request.tolerance_nats,
    )
    nats = request.standard_error_nats
    if nats is None:
        return asked
    return asked.model_copy(
        update={
            "probes": PROBES,
            "tolerance_nats": tolerance(request.tolerance_nats, nats),
            "max_evaluations": request.max_evaluations or asked.max_evaluations,
        }
    )


def _check_error(request: LikelihoodParameters) -> None:
    """Raise InvalidRequest where parameters do not go together."""
    if request.standard_error_nats is None:
        if request.max_evaluations is not None:
            raise InvalidRequest.at(
                "max_evaluations", "bounds standard_error_nats: give that too, or leave this out"
            )
    elif "probes" in request.model_fields_set:
        raise InvalidRequest.at(
            "standard_error_nats", "stands in place of probes: give one of the two"
        )
