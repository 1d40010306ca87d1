"""The class of images in requests, for models that have classes."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from models.schema.manifest import Manifest
from service.errors import InvalidRequest

FIELD = "class_label"
_TEXT = re.compile(r"[0-9]{1,9}(,[0-9]{1,9})*")


def _labels(value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    # A form and a query have text, in which numbers are parted by commas.
    mode: str = info.mode
    if mode == "string" and isinstance(value, str) and _TEXT.fullmatch(value):
        found = list(map(int, value.split(",")))
        value = found if "," in value else found[0]
    try:
        return validate(value)
    except ValidationError:
        raise PydanticCustomError(
            FIELD, "should be a class, 0 or more, or a list with that of each image"
        ) from None


def _absent(value: Any) -> bool:
    return value is None


_Label = Annotated[int, Field(ge=0)]
ClassLabel = Annotated[
    int | None,
    Field(
        ge=0,
        description="The class that the calibration is of, where the model has classes; left out, "
        "it is taken.",
        exclude_if=_absent,
    ),
]
ClassLabels = Annotated[
    _Label | Annotated[list[_Label], Field(fail_fast=True)] | None,
    WrapValidator(_labels),
    Field(exclude_if=_absent),
]
NAMED = Field(
    None,
    description="Class of the image, where one was named or drawn; absent for models without "
    "classes.",
    exclude_if=_absent,
)


def labels_of(
    given: int | Sequence[int] | None, images: int, model: Manifest
) -> tuple[int, ...] | None:
    """Return the class of each of so many images, of which one may stand for all.

    Raises InvalidRequest for a class that the model does not have, and for too many or too few.
    """
    if given is None:
        return None
    classes = model.config.classes
    if not classes:
        raise InvalidRequest.at(FIELD, f"should be left out: {model.name} has no classes")
    labels = (given,) if isinstance(given, int) else tuple(given)
    if not all(label < classes for label in labels):
        raise InvalidRequest.at(
            FIELD, f"should be below {classes}, the number of classes of {model.name}"
        )
    if len(labels) == 1:
        return labels * images
    if model.preprocessing is not None:
        raise InvalidRequest.at(FIELD, "should be one class for all photographs of a request")
    if len(labels) != images:
        raise InvalidRequest.at(
            FIELD, f"should be one class, or one for each image: {len(labels)} for {images} images"
        )
    return labels
