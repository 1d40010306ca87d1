"""Requests for verdicts, and their answers."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from models.anomaly.power import Power
from models.schema.specs import VerdictSpec
from service.contracts.base import (
    Checkpoint,
    ContentSeed,
    Execution,
    ModelName,
    Pngs,
    PriorityName,
    RequestModel,
    ResponseModel,
    Timeout,
    Timing,
)
from service.contracts.classes import ClassLabel
from service.contracts.photographs import APPLIED, PICTURE, Applied, Picture, TilePlace, Tiles

Heatmap = bool | Literal["raw", "overlay"]
_FLAG = TypeAdapter(bool)
STATISTICS = [{"log_prior": -110.0, "log_det": 148.25}]
_FDR = "Bound on the expected share of good images among the selected, at least 1/(m + 1)."


def _heatmap(value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    # A form and a query have text, which a validator inside of this one would not know as such.
    mode: str = info.mode
    try:
        if mode == "string" and value not in ("raw", "overlay"):
            return _FLAG.validate_strings(value)
        return validate(value)
    except ValidationError:
        words = "should be true, false, raw or overlay"
        raise PydanticCustomError("heatmap", words) from None


class Select(RequestModel):
    """A selection of the request's images together, by Benjamini and Hochberg's rule."""

    fdr: float = Field(gt=0, lt=1, description=_FDR)


class Judging(RequestModel):
    """Parameters of judging that are written alike in every form of a request."""

    fdr_field: ClassVar[str] = "select_fdr"

    model: ModelName
    alpha: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="False-alarm rate: an image is flagged if its p-value is at most this. At "
        "least 1/(m + 1) for m calibration images.",
    )
    heatmap: Annotated[Heatmap, WrapValidator(_heatmap)] = Field(
        False,
        description="Return where each image is strange: `true` for a grey PNG, `overlay` for the "
        "image with its heat over it in colour, as a PNG, `raw` for the values as a float32 .npy "
        "`[H, W]`.",
    )
    class_label: ClassLabel = None
    tiles: Tiles = False
    source: str | None = Field(
        None,
        max_length=64,
        description="Camera or line that the images come from, one of the names in the setting "
        "MULAN_SOURCES. Metrics are kept for each source.",
    )
    seed: ContentSeed = 0
    timeout_s: Timeout = None
    priority: PriorityName = "normal"

    @property
    def fdr(self) -> float | None:
        """The rate of false discoveries at which images are selected together, if any are."""
        return None


class AnomalyParameters(Judging):
    """Parameters of judging that come beside the images, as form fields or in the query."""

    select_fdr: float | None = Field(
        None,
        gt=0,
        lt=1,
        description=f"Select images together, as `select` does in JSON. {_FDR}",
    )

    @property
    def fdr(self) -> float | None:
        return self.select_fdr


class AnomalyRequest(Judging):
    """A request to judge images."""

    fdr_field: ClassVar[str] = "select.fdr"

    select: Select | None = Field(
        None,
        description="Select images together, so that good ones are a bounded share of the "
        "selected. As a form field or in the query it is `select_fdr`.",
    )
    images: Pngs

    @property
    def fdr(self) -> float | None:
        return None if self.select is None else self.select.fdr


class Region(ResponseModel):
    """A connected region whose heat is above that of 99.9 % of the pixels of good images, and the
    box around it, in pixels of the image or photograph from its top left."""

    x: int
    y: int
    width: int
    height: int
    area: int = Field(description="Number of the region's own pixels.")
    p_value: float = Field(
        description="(1 + number of calibration images, or photographs, whose largest heat is at "
        "least the region's) / (m + 1). Of good ones at most the share alpha has a region with a "
        "p-value of alpha or less."
    )


class TileVerdict(ResponseModel):
    """The verdict on one tile of a photograph, ranked among the calibration's tiles."""

    place: TilePlace
    status: Literal["ok", "failed"]
    score: float | None
    p_value: float = Field(description="Tiles of one photograph depend on each other.")
    statistics: dict[str, float] = Field(
        description="Statistics that the score was made of, by name.", examples=STATISTICS
    )
    reason: str | None = Field(
        None, description="Reason of a failure.", exclude_if=lambda reason: reason is None
    )


class ImageVerdict(ResponseModel):
    """The verdict on one image. A photograph of several tiles has one score, made of those of its
    tiles, and a p-value among calibration photographs. One that could not be solved has no score,
    and the p-value that a score above every other has."""

    index: int = Field(description="Position of the image in the request, from 0.")
    status: Literal["ok", "failed"]
    score: float | None = Field(description="Higher is more anomalous.")
    p_value: float = Field(description="(1 + number of calibration scores >= score) / (m + 1).")
    is_anomaly: bool = Field(description="True if the p-value is at most alpha.")
    selected: bool | None = Field(
        None,
        description="True if the image is selected among those of the request, on request.",
        exclude_if=lambda selected: selected is None,
    )
    statistics: dict[str, float] = Field(
        description="Statistics that the score was made of, by name; of a photograph those of its "
        "strangest tile.",
        examples=STATISTICS,
    )
    deviations: dict[str, float] = Field(
        {},
        description="Statistics whose usual values the calibration knows, in standard "
        "deviations from their mean in good images; empty for a failure.",
        examples=[{"log_prior": -1.2, "codec_bits": 0.4}],
    )
    regions: tuple[Region, ...] | None = Field(
        None,
        description="The hottest regions, the hottest first: at most 20, of at least 3 pixels of "
        "the map each. Empty where no region is hotter than good pixels; absent for a failure and "
        "for a calibration by the path, or from before regions.",
        exclude_if=lambda regions: regions is None,
    )
    picture: Picture | None = PICTURE
    tiles: tuple[TileVerdict, ...] = Field(
        (), description="The tiles' own verdicts, on request.", exclude_if=lambda tiles: not tiles
    )
    heatmap: str | None = Field(
        None,
        description="Base64 of a PNG, or of an .npy, of the size of the image or photograph. "
        "By the levels: how far the pixel is from what good images have there, black at the median "
        "and white at the 99.9th percentile of good pixels. By the path: its contribution to the "
        "negative ELBO, 0 to the image's largest. An overlay runs from yellow, transparent, for "
        "black to red for white, over the image as the model saw it.",
        exclude_if=lambda heatmap: heatmap is None,
    )
    nfe: int = Field(description="Number of network evaluations.")
    reason: str | None = Field(
        None, description="Reason of a failure.", exclude_if=lambda reason: reason is None
    )


class AnomalySettings(ResponseModel):
    """Parameters of the judging with all defaults filled in; the solver is the calibration's."""

    alpha: float
    seed: int
    solver: VerdictSpec
    calibration_images: int = Field(
        description="Number m of calibration images, or photographs, that the p-values rest on."
    )
    aggregate: str | None = Field(
        None,
        description="The way in which the scores of a photograph's tiles become one.",
        exclude_if=lambda aggregate: aggregate is None,
    )
    select: Select | None = Field(
        None,
        description="The rule by which images were selected together.",
        exclude_if=lambda select: select is None,
    )
    source: str | None = Field(
        None,
        description="Camera or line that the images come from.",
        exclude_if=lambda source: source is None,
    )


class AnomalyResponse(ResponseModel):
    """One verdict for each image, in the order of the request."""

    id: str = Field(description="Id of the job.")
    model: str
    checkpoint: Checkpoint
    execution: Execution
    results: tuple[ImageVerdict, ...]
    settings: AnomalySettings
    applied: Applied | None = APPLIED
    power: Power | None = Field(
        None,
        description="Result of the calibration's check with synthetic defects.",
        exclude_if=lambda power: power is None,
    )
    timing: Timing
