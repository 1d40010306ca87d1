"""Likelihoods in the Open Inference Protocol: the model `NAME.likelihood`."""

from collections.abc import Sequence

from service.catalogue import ServedModel
from service.contracts.tensors import ANY, Tensor, TensorSpec, numbers, strings
from service.kind import Finished
from service.kinds.likelihoods.answer import answer
from service.kinds.likelihoods.task import ScoreResult, ScoreTask
from service.tensor_form import TensorForm, class_input, details, images_input

_NUMBERS = (
    "log_px_given_z",
    "log_px_lower_bound",
    "bits_per_dim",
    "trace_standard_error",
    "trace_degrees_of_freedom",
    "draw_standard_error",
    "ode_error_estimate",
    "total_standard_error",
)


def _outputs(model: ServedModel) -> tuple[TensorSpec, ...]:
    return (
        TensorSpec("status", "BYTES", (ANY,)),
        *(TensorSpec(name, "FP64", (ANY,)) for name in _NUMBERS),
        TensorSpec("nfe", "INT32", (ANY,)),
        TensorSpec("details", "BYTES", (ANY,)),
    )


def _make(finished: Finished[ScoreTask, ScoreResult], names: Sequence[str]) -> dict[str, Tensor]:
    rows = answer(finished).results
    made = {name: numbers("FP64", [getattr(row, name) for row in rows]) for name in _NUMBERS}
    made |= {
        "status": strings([row.status for row in rows]),
        "nfe": numbers("INT32", [row.nfe for row in rows]),
        "details": details(rows),
    }
    return {name: made[name] for name in names}


def _inputs(model: ServedModel) -> tuple[TensorSpec, ...]:
    return (*images_input(model), *class_input(model))


TENSORS = TensorForm(suffix="likelihood", inputs=_inputs, outputs=_outputs, make=_make)
