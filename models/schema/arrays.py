"""NumPy arrays as fields of documents that pydantic reads and writes. Torch-free."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypedDict


class _Document(TypedDict):
    shape: tuple[Annotated[int, Field(ge=0)], ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class RawArray:
    """Annotation of an array field: a document holds `{"shape": [...], "data": bytes}`.

    `dtype` is the NumPy code of the numbers, byte order included, `axes` the number of axes; data
    is in C order. Reading gives an array of its own, which may be written to; bytes that do not
    fill the shape, and a shape of other axes, are a ValidationError.
    """

    dtype: str
    axes: int

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            self._read,
            handler.generate_schema(_Document),
            serialization=core_schema.plain_serializer_function_ser_schema(self._write),
        )

    def _read(self, document: _Document) -> NDArray[Any]:
        shape, data = document["shape"], document["data"]
        if len(shape) != self.axes:
            raise ValueError(f"shape {list(shape)} should have {self.axes} axes")
        if math.prod(shape) * np.dtype(self.dtype).itemsize != len(data):
            raise ValueError(f"{len(data)} bytes are no array of shape {list(shape)}")
        return np.frombuffer(data, self.dtype).reshape(shape).copy()

    def _write(self, array: NDArray[Any]) -> _Document:
        data = np.ascontiguousarray(array, self.dtype).tobytes()
        return {"shape": array.shape, "data": data}
