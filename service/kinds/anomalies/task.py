"""The task of judging images, its price and its result."""

from dataclasses import dataclass
from typing import ClassVar

from models.anomaly.conformal import at_least
from models.anomaly.kept import AnyCalibration
from models.anomaly.readings import Reading
from models.schema.specs import VerdictSpec
from service.catalogue import ServedModel
from service.contracts.classes import FIELD, labels_of
from service.contracts.photographs import check_tiles
from service.errors import InvalidRequest
from service.jobs import (
    Decoded,
    Tokens,
    WrittenFlag,
    WrittenName,
    WrittenShare,
    WrittenTiling,
)
from service.kinds.anomalies.contract import Heatmap, Judging
from service.price import Quote
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class AnomalyTask:
    """Judge images, tokens `[N, H, W, C]`, by a calibration that the job carries: whatever becomes
    of the checkpoint's own, the verdict is by the one that the images were solved for. `tiling`
    says which photographs the images are tiles of, and `tiles` whether their verdicts are wanted.
    `fdr` is the rate at which images are selected together, and `source` where they come from.
    """

    kind: ClassVar[str] = "anomalies"

    calibration: AnyCalibration
    seed: int
    alpha: float
    heatmap: Heatmap
    images: Tokens
    tiling: WrittenTiling = None
    tiles: WrittenFlag = False
    fdr: WrittenShare = None
    source: WrittenName = None

    @property
    def solver(self) -> VerdictSpec:
        """The calibration's solver."""
        return self.calibration.solver

    @property
    def rows(self) -> int:
        """One row an image."""
        return len(self.images)


@dataclass(frozen=True, slots=True)
class AnomalyResult:
    """One reading an image, in the order of the request, from which the calibration makes verdicts;
    contributions only where a heatmap is wanted."""

    kind: ClassVar[str] = "anomalies"

    readings: tuple[Reading, ...]
    execution: str


def quote(request: Judging, images: int, model: ServedModel, settings: Settings) -> Quote:
    """The price of a solve as the calibration has it. Raises InvalidRequest, also for want of a
    calibration."""
    _check_source(request.source, settings.sources)
    calibration = calibration_of(model)
    _check_class(request.class_label, calibration, model)
    least, count = calibration.smallest_alpha, calibration.calibration_images.images
    if (reference := calibration.pictures) is not None:
        least, count = reference.smallest_alpha, reference.pictures
    for field, rate in (("alpha", request.alpha), (request.fdr_field, request.fdr)):
        if rate is not None and rate < least:
            raise InvalidRequest.at(
                field, f"should be at least 1/(m + 1) = {at_least(least)}, with m = {count}"
            )
    solver = calibration.solver
    return Quote(images, solver.evaluations, probes=solver.probes)


def make(request: Judging, images: Decoded, model: ServedModel) -> AnomalyTask:
    """The task, to be solved as the calibration was. Raises InvalidRequest for want of one, and for
    tokens where it is for photographs."""
    calibration = calibration_of(model)
    check_tiles(request.tiles, images)
    if calibration.pictures is not None and images.tiling is None:
        raise InvalidRequest.at(
            "images", f"should be photographs: {model.name} was calibrated on whole pictures"
        )
    return AnomalyTask(
        calibration,
        request.seed,
        request.alpha,
        request.heatmap,
        images.tokens,
        images.tiling,
        request.tiles,
        request.fdr,
        request.source,
    )


def _check_source(source: str | None, known: tuple[str, ...]) -> None:
    """Raise InvalidRequest for a source that is not on the service's list."""
    if source is None or source in known:
        return
    if not known:
        raise InvalidRequest.at(
            "source", "leave it out: this service has no list of sources (MULAN_SOURCES)"
        )
    raise InvalidRequest.at("source", f"should be one of {', '.join(known)}")


def _check_class(given: int | None, calibration: AnyCalibration, model: ServedModel) -> None:
    """Raise InvalidRequest for another class than the calibration's."""
    if given is None:
        return
    labels_of(given, 1, model.manifest)
    known = calibration.solver.class_label
    if given != known:
        raise InvalidRequest.at(
            FIELD, f"should be {known}: {model.name} was calibrated on images of that class"
        )


def calibration_of(model: ServedModel) -> AnyCalibration:
    """Return the model's calibration. Raises InvalidRequest (calibration-missing)."""
    if model.calibration is None:
        raise InvalidRequest(
            f"{model.name} has no calibration that fits it; see mulan models calibrate",
            "calibration-missing",
        )
    return model.calibration
