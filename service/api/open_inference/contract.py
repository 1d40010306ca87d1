"""Requests and answers of the Open Inference Protocol."""

from typing import Annotated, Any, Literal

from pydantic import Field

from service.contracts.base import RequestModel, ResponseModel, worded
from service.contracts.tensors import Datatype

Value = bool | int | float | str
Parameters = dict[
    str, Annotated[Value, worded("parameter", "should be a text, a number, true or false")]
]
_SHAPE = "Sizes of the tensor's axes."


class InputTensor(RequestModel):
    """A tensor of a request, whose elements are in `data` or behind the JSON of the body."""

    name: str = Field(max_length=64, description="Name of one of the model's inputs.")
    shape: list[int] = Field(max_length=8, description=_SHAPE)
    datatype: Datatype
    parameters: Parameters = Field(
        default_factory=dict,
        description="Parameter `binary_data_size` is the number of the tensor's bytes behind the "
        "JSON.",
        examples=[{"binary_data_size": 64}],
    )
    data: list[Any] | None = Field(
        None, description="Elements in row-major order, flat or nested as the shape is."
    )


class RequestedOutput(RequestModel):
    """A tensor that the answer should have."""

    name: str = Field(max_length=64, description="Name of one of the model's outputs.")
    parameters: Parameters = Field(
        default_factory=dict,
        description="Parameter `binary_data` is true for elements behind the JSON of the answer.",
        examples=[{"binary_data": True}],
    )


class InferRequest(RequestModel):
    """A request for inference."""

    id: str | None = Field(None, max_length=255, description="Text that the answer repeats.")
    model_name: str | None = Field(None, description="Name of the model, which the path has.")
    model_version: str | None = Field(None, description="Version, which the path has.")
    inputs: list[InputTensor] = Field(
        default_factory=list, max_length=16, description="Tensors of the request."
    )
    outputs: list[RequestedOutput] = Field(
        default_factory=list, max_length=16, description="Tensors of the answer; left out, all."
    )
    parameters: Parameters = Field(
        default_factory=dict,
        description="Fields of the request under /v1 that are no tensors, and `binary_data_output` "
        "(all outputs behind the JSON), `timeout` (microseconds), `priority` (1 is the highest).",
        examples=[{"alpha": 0.05}],
    )


class OutputTensor(ResponseModel):
    """A tensor of an answer."""

    name: str
    datatype: Datatype
    shape: list[int] = Field(description=_SHAPE)
    data: list[Any] | None = Field(
        None,
        description="Elements in row-major order; null for a number that there is none of, base64 "
        "for a file.",
        exclude_if=lambda data: data is None,
    )
    parameters: dict[str, Value] | None = Field(
        None,
        description="Parameter `binary_data_size` is the number of the tensor's bytes behind the "
        "JSON.",
        exclude_if=lambda parameters: parameters is None,
        examples=[{"binary_data_size": 64}],
    )


class InferResponse(ResponseModel):
    """Tensors, and the facts about the job that made them."""

    model_name: str
    model_version: str
    id: str | None = Field(
        None, description="Text that the request gave.", exclude_if=lambda text: text is None
    )
    parameters: dict[str, Value] = Field(
        description="Facts about the answer: `job`, `checkpoint`, `execution`, `seed`, `solver` as "
        "JSON, `queued_s`, `running_s`.",
        examples=[{"seed": 7, "queued_s": 0.001, "running_s": 0.25}],
    )
    outputs: list[OutputTensor]


class OpenInferenceError(ResponseModel):
    """An error in the form of this protocol."""

    error: str = Field(description="One line that says what to do.")


class Live(ResponseModel):
    """The process answers."""

    live: Literal[True]


class Ready(ResponseModel):
    """The process takes requests."""

    ready: Literal[True]


class ModelReady(ResponseModel):
    """The model takes requests."""

    name: str
    ready: Literal[True]


class ServerMetadata(ResponseModel):
    """The server and the extensions of the protocol that it has."""

    name: str
    version: str
    extensions: tuple[str, ...]


class TensorMetadata(ResponseModel):
    """The declaration of a tensor; a size of -1 may be any."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]


class ConfiguredParameter(ResponseModel):
    """The value of a parameter, as text."""

    string_value: str


class ModelMetadata(ResponseModel):
    """A model with its tensors."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
    parameters: dict[str, Value] | None = Field(
        None,
        description="Parameter `classes` is the number of classes of a model that has some.",
        exclude_if=lambda parameters: parameters is None,
        examples=[{"classes": 10}],
    )


class ConfiguredInput(ResponseModel):
    """An input, without the axis of the batch where there is one."""

    name: str
    data_type: str
    dims: tuple[int, ...]
    optional: bool


class ConfiguredOutput(ResponseModel):
    """An output, without the axis of the batch where there is one."""

    name: str
    data_type: str
    dims: tuple[int, ...]


class ModelConfiguration(ResponseModel):
    """A model's configuration, as far as clients read it."""

    name: str
    platform: str
    backend: str
    max_batch_size: int = Field(description="Most images in a request; 0 where it has none.")
    input: tuple[ConfiguredInput, ...]
    output: tuple[ConfiguredOutput, ...]
    parameters: dict[str, ConfiguredParameter] | None = Field(
        None,
        description="Parameter `classes` is the number of classes of a model that has some.",
        exclude_if=lambda parameters: parameters is None,
        examples=[{"classes": {"string_value": "10"}}],
    )


class Duration(ResponseModel):
    """A number of events, and the time that they took together."""

    count: int
    ns: int = Field(description="Nanoseconds of all events together.")


class InferenceStatistics(ResponseModel):
    """Durations of requests, of their waits in the queue and of their computation."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration
    cache_miss: Duration


class BatchStatistics(ResponseModel):
    """Durations of the calls with batches of one size."""

    batch_size: int
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class ModelStatistics(ResponseModel):
    """Figures about the requests of one model since the process began, of this protocol and this
    process alone."""

    name: str
    version: str
    last_inference: int = Field(description="Time of the last one, milliseconds since the epoch.")
    inference_count: int = Field(description="Images of all requests that succeeded.")
    execution_count: int = Field(
        description="Requests that succeeded; network calls, which requests share, are not counted."
    )
    inference_stats: InferenceStatistics
    batch_stats: tuple[BatchStatistics, ...] = Field(
        (), description="Statistics of batches: always empty, for batches change at each step."
    )


class StatisticsResponse(ResponseModel):
    """Statistics of one model, or of all."""

    model_stats: tuple[ModelStatistics, ...]


class IndexRequest(RequestModel):
    """A request for the index of models."""

    ready: bool = Field(False, description="List only models that take requests.")


class IndexEntry(ResponseModel):
    """A model in the index."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str = Field(description="Reason why it is unavailable, or an empty text.")
