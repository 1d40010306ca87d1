"""Anomaly verdicts in the Open Inference Protocol: the model `NAME.anomaly`."""

import base64
from collections.abc import Sequence

from service.catalogue import ServedModel
from service.contracts.tensors import ANY, Tensor, TensorSpec, numbers, strings
from service.kind import Finished
from service.kinds.anomalies.answer import answer
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask, calibration_of
from service.tensor_form import TensorForm, details, images_input


def _outputs(model: ServedModel) -> tuple[TensorSpec, ...]:
    return (
        TensorSpec("status", "BYTES", (ANY,)),
        TensorSpec("score", "FP64", (ANY,)),
        TensorSpec("p_value", "FP64", (ANY,)),
        TensorSpec("is_anomaly", "BOOL", (ANY,)),
        TensorSpec("nfe", "INT32", (ANY,)),
        TensorSpec("heatmap", "BYTES", (ANY,), files=True),
        TensorSpec("details", "BYTES", (ANY,)),
    )


def _make(
    finished: Finished[AnomalyTask, AnomalyResult], names: Sequence[str]
) -> dict[str, Tensor]:
    rows = answer(finished).results
    made = {
        "status": strings([row.status for row in rows]),
        "score": numbers("FP64", [row.score for row in rows]),
        "p_value": numbers("FP64", [row.p_value for row in rows]),
        "is_anomaly": numbers("BOOL", [row.is_anomaly for row in rows]),
        "nfe": numbers("INT32", [row.nfe for row in rows]),
        "heatmap": strings([row.heatmap and base64.b64decode(row.heatmap) for row in rows]),
        "details": details(rows, "heatmap"),
    }
    return {name: made[name] for name in names}


TENSORS = TensorForm(
    suffix="anomaly",
    inputs=images_input,
    outputs=_outputs,
    make=_make,
    check=calibration_of,
)
