"""Arrays of numbers inside a JSON document. Torch-free."""

import base64
import binascii
import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator


class Packed(BaseModel):
    """An array of float32: its shape, and its bytes in C order, little-endian, in base64."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: tuple[int, ...] = Field(max_length=4)
    data: str

    @classmethod
    def of(cls, array: NDArray[np.floating]) -> "Packed":
        """Return the document of an array, rounded to float32."""
        content = np.ascontiguousarray(array, "<f4").tobytes()
        return cls(shape=array.shape, data=base64.b64encode(content).decode())

    @property
    def array(self) -> NDArray[np.float64]:
        """The numbers, as float64, not to be written to."""
        return _decoded(self.shape, self.data)

    @model_validator(mode="after")
    def _fills_its_shape(self) -> "Packed":
        try:
            content = base64.b64decode(self.data, validate=True)
        except binascii.Error as error:
            raise ValueError(f"not base64: {error}") from error
        if min(self.shape, default=0) < 0 or math.prod(self.shape) * 4 != len(content):
            raise ValueError(f"{len(content)} bytes are no float32 array of {list(self.shape)}")
        if not np.isfinite(np.frombuffer(content, "<f4")).all():
            raise ValueError("a number is not finite")
        return self


@lru_cache(maxsize=256)
def _decoded(shape: tuple[int, ...], data: str) -> NDArray[np.float64]:
    """Return the array of a document; a verdict asks for the same dozen of them again and again."""
    array = np.frombuffer(base64.b64decode(data), "<f4").reshape(shape).astype(np.float64)
    array.flags.writeable = False
    return array
