"""The form of a kind of work in the Open Inference Protocol."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from service.catalogue import ServedModel
from service.contracts.tensors import ANY, IMAGES, Tensor, TensorSpec, strings


def _as_they_are(values: dict[str, Any]) -> dict[str, Any]:
    return values


def _any_model(model: ServedModel) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class TensorForm:
    """A kind of work as a model of that protocol: `NAME.suffix`, or `NAME` where the suffix is
    empty.

    `inputs` and `outputs` declare its tensors. `fields` makes fields of the kind's request of the
    values of inputs and parameters by name; it raises InvalidRequest. `make` takes a Finished and
    the names of the outputs that are wanted, and returns these. `check` raises BadRequest for a
    model that cannot do this kind of work.
    """

    suffix: str
    inputs: Callable[[ServedModel], tuple[TensorSpec, ...]]
    outputs: Callable[[ServedModel], tuple[TensorSpec, ...]]
    make: Callable[[Any, Sequence[str]], dict[str, Tensor]]
    fields: Callable[[dict[str, Any]], dict[str, Any]] = _as_they_are
    check: Callable[[ServedModel], object] = _any_model


def images_input(model: ServedModel) -> tuple[TensorSpec, ...]:
    """Return the input of a kind that takes images: tokens, or files of photographs for a model
    with preprocessing."""
    if model.manifest.preprocessing is not None:
        return (TensorSpec(IMAGES, "BYTES", (ANY,), files=True),)
    return (TensorSpec(IMAGES, "UINT8", (ANY, *model.config.image_shape)),)


def class_input(model: ServedModel) -> tuple[TensorSpec, ...]:
    """Return the input of classes, one for all images or one for each, of a model that has some."""
    if not model.config.classes:
        return ()
    return (TensorSpec("class_label", "INT32", (ANY,), optional=True),)


def details(rows: Sequence[BaseModel], *left_out: str) -> Tensor:
    """Return the rows of an answer under /v1, each as JSON without the fields `left_out`."""
    return strings([row.model_dump_json(exclude=set(left_out)) for row in rows])
