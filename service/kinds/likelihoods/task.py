"""The task of scoring images, its price and its result."""

from dataclasses import dataclass
from typing import ClassVar

from models.schema.scores import Score
from models.schema.specs import EXACT_DIMENSIONS, Adams
from service.catalogue import ServedModel
from service.contracts.classes import labels_of
from service.contracts.photographs import check_tiles
from service.errors import InvalidRequest
from service.jobs import Decoded, Tokens, WrittenFlag, WrittenLabels, WrittenTiling
from service.kinds.likelihoods.contract import LikelihoodParameters
from service.price import Quote
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class ScoreTask:
    """Score images, tokens `[N, H, W, C]`, with `draws` dequantizations each; `tiling` says which
    photographs they are tiles of, and `tiles` whether the answer has the tiles' own scores.
    `labels` is the class of each image; with None a model of classes is scored over all of them."""

    kind: ClassVar[str] = "likelihoods"

    solver: Adams
    seed: int
    draws: int
    images: Tokens
    tiling: WrittenTiling = None
    tiles: WrittenFlag = False
    labels: WrittenLabels = None

    @property
    def rows(self) -> int:
        """One row a draw."""
        return len(self.images) * self.draws


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """One score an image, in the order of the request."""

    kind: ClassVar[str] = "likelihoods"

    scores: tuple[Score, ...]
    execution: str


def quote(
    request: LikelihoodParameters, images: int, model: ServedModel, settings: Settings
) -> Quote:
    """The price by the expected evaluations of a solve. Raises InvalidRequest."""
    spec, dimensions = solver(request), model.config.dimensions
    if spec.trace == "exact" and dimensions > EXACT_DIMENSIONS:
        raise InvalidRequest.at(
            "trace",
            f"should be probes: an image has {dimensions} values, more than {EXACT_DIMENSIONS}",
        )
    labels = labels_of(request.class_label, images, model.manifest)
    classes = model.config.classes or None if labels is None else None
    products = spec.products(dimensions)
    return Quote(images, spec.expected_evaluations, request.draws, products, classes)


def make(request: LikelihoodParameters, images: Decoded, model: ServedModel) -> ScoreTask:
    """The task with every parameter resolved. Raises InvalidRequest."""
    check_tiles(request.tiles, images)
    labels = labels_of(request.class_label, len(images.tokens), model.manifest)
    return ScoreTask(
        *(solver(request), request.seed, request.draws, images.tokens, images.tiling),
        *(request.tiles, labels),
    )


def solver(request: LikelihoodParameters) -> Adams:
    """The ODE solver's parameters."""
    return Adams(
        probes=request.probes,
        trace=request.trace,
        latent=request.latent,
        tolerance_nats=request.tolerance_nats,
    )
