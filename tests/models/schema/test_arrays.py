"""Arrays as fields: the way into a document and back, and what is no array."""

from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from models.schema.arrays import RawArray

FLOATS = TypeAdapter(Annotated[NDArray[np.float32], RawArray("<f4", axes=2)])
shapes = st.tuples(st.integers(0, 3), st.integers(0, 3))


@given(shapes.flatmap(lambda shape: arrays(np.float32, shape)))
def test_an_array_comes_back_as_it_was_and_may_be_written_to(array: NDArray[np.float32]) -> None:
    back = FLOATS.validate_python(FLOATS.dump_python(array))
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, array)
    assert back.flags.writeable


def test_bytes_are_in_c_order_whatever_the_array_is() -> None:
    array = np.arange(6, dtype=">f8").reshape(3, 2).T
    document = FLOATS.dump_python(array)
    assert document["shape"] == (2, 3)
    assert document["data"] == np.array([[0, 2, 4], [1, 3, 5]], "<f4").tobytes()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"shape": [2, 2], "data": bytes(15)}, "15 bytes are no array of shape [2, 2]"),
        ({"shape": [4], "data": bytes(16)}, "shape [4] should have 2 axes"),
        ({"shape": [-1, -4], "data": bytes(16)}, "greater than or equal to 0"),
        ({"shape": [2, 2], "data": 16}, "valid bytes"),
        ({"shape": [2, 2]}, "data"),
        (bytes(16), "dictionary"),
    ],
)
def test_what_is_no_array_is_refused(document: Any, words: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        FLOATS.validate_python(document)
    assert words in str(refusal.value)
