"""Elements of tensors as JSON and as binary data, in both directions."""

import base64
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from service.api.open_inference.contract import InputTensor
from service.contracts.tensors import BYTES, DTYPES, Tensor, TensorSpec
from service.errors import InvalidRequest

SIZE = "binary_data_size"
_LENGTH = struct.Struct("<I")
_LARGEST_AXIS = 2**53


def read(tensors: Sequence[InputTensor], binary: bytes) -> list[Tensor]:
    """Return the tensors of a request, whose binary data stands behind its JSON.

    Raises InvalidRequest for elements that are not as the datatype and the shape say, and for
    binary data that is shorter or longer than the tensors are together.
    """
    found, begin = [], 0
    for tensor in tensors:
        size = tensor.parameters.get(SIZE)
        if any(not 0 <= axis <= _LARGEST_AXIS for axis in tensor.shape):
            raise InvalidRequest.at(tensor.name, f"shape {tensor.shape} has a size that is none")
        # NumPy has no array of such a shape, even where another size is 0.
        if math.prod(filter(None, tensor.shape)) > _LARGEST_AXIS:
            raise InvalidRequest.at(
                tensor.name, f"shape {tensor.shape} has more elements than a tensor can have"
            )
        if (tensor.data is None) == (size is None):
            many = "both" if tensor.data is not None else "neither"
            raise InvalidRequest.at(tensor.name, f"has {many} of data and {SIZE}, not one of them")
        if tensor.data is not None:
            found.append(_from_json(tensor, tensor.data))
            continue
        if type(size) is not int or size < 0:
            raise InvalidRequest.at(tensor.name, f"{SIZE} should be a number of bytes")
        if begin + size > len(binary):
            raise InvalidRequest.at(
                tensor.name,
                f"{SIZE} is {size}, and {len(binary) - begin} bytes are left behind the JSON",
            )
        found.append(_from_binary(tensor, binary[begin : begin + size]))
        begin += size
    if begin < len(binary):
        raise InvalidRequest.at(
            "body", f"has {len(binary)} bytes behind the JSON, and tensors of {begin} bytes"
        )
    return found


def to_binary(tensor: Tensor) -> bytes:
    """Return the elements as binary data."""
    if isinstance(tensor.elements, np.ndarray):
        return tensor.elements.tobytes()
    elements = [one.encode() if isinstance(one, str) else one for one in tensor.elements]
    return b"".join(part for one in elements for part in (_LENGTH.pack(len(one)), one))


def to_json(tensor: Tensor, spec: TensorSpec) -> list[Any]:
    """Return the elements as JSON, flat; null for NaN and infinity."""
    if isinstance(tensor.elements, np.ndarray):
        flat = tensor.elements.ravel()
        if flat.dtype.kind == "f":
            return [value if math.isfinite(value) else None for value in flat.tolist()]
        found: list[Any] = flat.tolist()
        return found
    if spec.files:
        return [base64.b64encode(one).decode() for one in tensor.elements if isinstance(one, bytes)]
    return [one.decode() if isinstance(one, bytes) else one for one in tensor.elements]


def _from_binary(tensor: InputTensor, data: bytes) -> Tensor:
    shape, count = tuple(tensor.shape), math.prod(tensor.shape)
    if tensor.datatype == BYTES:
        return Tensor(BYTES, shape, _strings(tensor, data, count))
    dtype = DTYPES[tensor.datatype]
    if len(data) != count * dtype.itemsize:
        raise InvalidRequest.at(
            tensor.name,
            f"{SIZE} is {len(data)}; {tensor.datatype} of shape {tensor.shape} has "
            f"{count * dtype.itemsize} bytes",
        )
    if tensor.datatype == "BOOL" and data.translate(None, b"\0\1"):
        raise InvalidRequest.at(tensor.name, "BOOL has bytes other than 0 and 1")
    return Tensor(tensor.datatype, shape, np.frombuffer(data, dtype).reshape(shape))


def _strings(tensor: InputTensor, data: bytes, count: int) -> list[bytes]:
    """Split binary data of byte strings, each behind its length."""
    found: list[bytes] = []
    begin = 0
    while begin < len(data) and len(found) < count:
        if begin + _LENGTH.size > len(data):
            break
        (length,) = _LENGTH.unpack_from(data, begin)
        begin += _LENGTH.size
        if begin + length > len(data):
            raise InvalidRequest.at(
                tensor.name, f"element {len(found)} has {length} bytes, more than are left"
            )
        found.append(data[begin : begin + length])
        begin += length
    if begin != len(data) or len(found) != count:
        raise InvalidRequest.at(
            tensor.name,
            f"shape {tensor.shape} has {count} elements; binary data of {len(data)} bytes has "
            "another number",
        )
    return found


def _from_json(tensor: InputTensor, data: list[Any]) -> Tensor:
    shape = tuple(tensor.shape)
    texts = tensor.datatype == BYTES
    try:
        values = np.array(data, object if texts else None)
    except (ValueError, OverflowError):
        raise InvalidRequest.at(tensor.name, "data is nested unevenly") from None
    if values.shape not in (shape, (math.prod(shape),)):
        raise InvalidRequest.at(
            tensor.name, f"shape is {tensor.shape}, and data has {_axes(values.shape)}"
        )
    if texts:
        flat = values.ravel().tolist()
        if not all(isinstance(one, str) for one in flat):
            raise InvalidRequest.at(tensor.name, "data should be texts, for the datatype is BYTES")
        return Tensor(BYTES, shape, flat)
    return Tensor(tensor.datatype, shape, _cast(tensor, values).reshape(shape))


def _cast(tensor: InputTensor, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return numbers in the tensor's datatype. Raises InvalidRequest where they are none of it."""
    dtype = DTYPES[tensor.datatype]
    kinds = {"b": "b", "u": "iu", "i": "iu", "f": "fiu"}[dtype.kind]
    if values.size and values.dtype.kind not in kinds:
        raise InvalidRequest.at(
            tensor.name, f"data has elements that are no {tensor.datatype} of this protocol"
        )
    if values.size and dtype.kind in "ui":
        bounds = np.iinfo(dtype)
        if values.min() < bounds.min or values.max() > bounds.max:
            raise InvalidRequest.at(
                tensor.name, f"data should be within {bounds.min} to {bounds.max}"
            )
    return values.astype(dtype)


def _axes(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} elements" if len(shape) == 1 else f"the shape {list(shape)}"
