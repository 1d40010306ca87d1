"""Drawn images in the Open Inference Protocol: the model `NAME`."""

import json
from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np

from models.files.pictures import encode_png
from models.schema.presets import PresetName
from service.catalogue import ServedModel
from service.contracts.tensors import ANY, Tensor, TensorSpec, array, numbers, strings
from service.errors import InvalidRequest
from service.kind import Finished
from service.kinds.samples.answer import conditions
from service.kinds.samples.task import SampleResult, SampleTask
from service.tensor_form import TensorForm, class_input

FinishedSamples = Finished[SampleTask, SampleResult]


def _inputs(model: ServedModel) -> tuple[TensorSpec, ...]:
    return (
        TensorSpec("count", "INT32", (1,), optional=True),
        TensorSpec("seed", "INT64", (1,), optional=True),
        TensorSpec("solver", "BYTES", (1,), optional=True),
        TensorSpec("latent", "INT32", (ANY,), optional=True),
        *class_input(model),
    )


def _outputs(model: ServedModel) -> tuple[TensorSpec, ...]:
    return (
        TensorSpec("images", "UINT8", (ANY, *model.config.image_shape)),
        TensorSpec("png", "BYTES", (ANY,), files=True),
        TensorSpec("nfe", "INT32", (ANY,)),
        TensorSpec("acceptance_rate", "FP32", (ANY,)),
        TensorSpec("latent", "INT32", (ANY, model.config.latent_k)),
        *((TensorSpec("class_label", "INT32", (ANY,)),) if model.config.classes else ()),
    )


def _fields(values: dict[str, Any]) -> dict[str, Any]:
    """A solver is the name of a preset, or the JSON object that /v1/samples takes. Raises
    InvalidRequest."""
    solver = values.get("solver")
    if not isinstance(solver, str):
        return values
    if solver in get_args(PresetName):
        return values | {"solver": {"preset": solver}}
    try:
        return values | {"solver": json.loads(solver)}
    except (ValueError, RecursionError):
        presets = ", ".join(get_args(PresetName))
        raise InvalidRequest.at(
            "solver", f"should be one of {presets}, or a solver as a JSON object"
        ) from None


def _make(finished: FinishedSamples, names: Sequence[str]) -> dict[str, Tensor]:
    result, vocabulary = finished.result, finished.model.config.vocabulary
    latents, labels = conditions(finished)
    shape = len(latents), finished.model.config.latent_k
    makers: dict[str, Callable[[], Tensor]] = {
        "images": lambda: array("UINT8", result.images),
        "png": lambda: strings([encode_png(image, vocabulary) for image in result.images]),
        "nfe": lambda: numbers("INT32", result.nfe),
        "acceptance_rate": lambda: numbers("FP32", result.acceptance_rate),
        "latent": lambda: array("INT32", np.array(latents, np.int32).reshape(shape)),
        "class_label": lambda: numbers("INT32", labels),
    }
    return {name: makers[name]() for name in names}


TENSORS = TensorForm(suffix="", inputs=_inputs, outputs=_outputs, fields=_fields, make=_make)
