"""The task of drawing images, its price and its result."""

import secrets
from dataclasses import dataclass
from typing import ClassVar

from models.schema.presets import preset
from models.schema.specs import SamplerSpec
from service.catalogue import ServedModel
from service.contracts.base import MAX_SEED
from service.contracts.classes import labels_of
from service.errors import InvalidRequest
from service.jobs import Decoded, Tokens, WrittenLabels
from service.kinds.samples.contract import Preset, SampleRequest
from service.price import Quote
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class SampleTask:
    """Draw `count` images; image i depends on (checkpoint, solver, seed, i) and its class alone.
    `latent` names the ones of every image's latent, `labels` the class of each image; None draws
    them."""

    kind: ClassVar[str] = "samples"

    solver: SamplerSpec
    seed: int
    count: int
    latent: tuple[int, ...] | None = None
    labels: WrittenLabels = None

    @property
    def rows(self) -> int:
        """One row an image."""
        return self.count


@dataclass(frozen=True, slots=True)
class SampleResult:
    """Tokens `[count, H, W, C]` and, for each image, evaluations, acceptance rate (None where the
    method has none) and the indices of its latent's ones, or its class alone."""

    kind: ClassVar[str] = "samples"

    images: Tokens
    nfe: tuple[int, ...]
    acceptance_rate: tuple[float | None, ...]
    latents: tuple[tuple[int, ...], ...]
    execution: str


def quote(request: SampleRequest, images: int, model: ServedModel, settings: Settings) -> Quote:
    """The price by the number of images asked for. Raises InvalidRequest."""
    if request.count > settings.max_images:
        raise InvalidRequest.at("count", f"should be at most {settings.max_images}")
    if request.latent != "prior":
        _check_latent(request.latent, model)
    labels_of(request.class_label, request.count, model.manifest)
    steps = _sampler(request, model).evaluations + model.config.closing_evaluations
    return Quote(request.count, steps)


def make(request: SampleRequest, images: Decoded, model: ServedModel) -> SampleTask:
    """The task with its solver and seed resolved."""
    latent = None if request.latent == "prior" else tuple(request.latent)
    seed = secrets.randbelow(MAX_SEED + 1) if request.seed is None else request.seed
    labels = labels_of(request.class_label, request.count, model.manifest)
    return SampleTask(_sampler(request, model), seed, request.count, latent, labels)


def _sampler(request: SampleRequest, model: ServedModel) -> SamplerSpec:
    solver = request.solver
    return preset(model.presets, solver.preset) if isinstance(solver, Preset) else solver


def _check_latent(indices: list[int], model: ServedModel) -> None:
    n, k = model.config.latent_size, model.config.latent_k
    if not n:
        raise InvalidRequest.at("latent", "should be left out: this model has none")
    if len(indices) != k or len(set(indices)) != k or max(indices) >= n:
        raise InvalidRequest.at("latent", f"should be {k} distinct indices from 0 to {n - 1}")
