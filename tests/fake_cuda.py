"""A CUDA device that computes nothing, on any machine: code runs on tensors that have a shape and a
device but no values, and whatever a GPU's host would wait for is a fault.

PyTorch's `FakeTensorMode` brings the tensors. A build without CUDA lacks two things that code with
fake CUDA tensors still needs, and they are lent here: the entry of CUDA in the table of device
guards, for which that of the meta device stands in, and the engine of autograd, for which a walk
over the graph does.
"""

import ctypes
import linecache
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any
from unittest.mock import patch

import operations
import optree
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode

from models.rows.constants import constant

CUDA = torch.device("cuda", 0)
ROOT = Path(__file__).parents[1]
HARNESS = {Path(__file__), Path(operations.__file__)}
COPIES = frozenset({"aten::_to_copy", "aten::copy_"})
# A host's number that fills a tensor is an argument of the kernel.
TAKES_A_NUMBER = frozenset({"aten::fill_"})
INDEXES = frozenset(
    {"aten::index", "aten::index_put_", "aten::index_put", "aten::_index_put_impl_"}
)
# Places in c10's table of device guards, from c10/core/DeviceType.h.
_GUARD_OF_CUDA, _GUARD_OF_META, _GUARDS = 1, 14, 22


class FaultError(AssertionError):
    """Something for which a GPU's host would wait, or which a CUDA graph cannot capture."""


@contextmanager
def fake_cuda() -> Iterator[None]:
    """Have tensors without values, and a CUDA device for them."""
    try:
        with (
            _guard_of_cuda(),
            patch("torch.autograd.grad", _gradients),
            patch("torch.cuda.get_device_capability", lambda device: (9, 0)),
            FakeTensorMode(allow_non_fake_inputs=False),
        ):
            yield
    finally:
        constant.cache_clear()


def on_cuda(tree: Any) -> Any:
    """The tree with every tensor replaced by one like it on the device, without values."""
    return optree.tree_map(
        lambda leaf: torch.empty(leaf.shape, dtype=leaf.dtype, device=CUDA), tree
    )


class Unwaiting(TorchDispatchMode):
    """Raises a `FaultError`, with the operation and the line, where the host would wait for the
    device, data crosses between them, devices are mixed, or a shape depends on data.

    Copies by the function `but_in` are let pass.
    """

    def __init__(self, but_in: Callable[..., Any] | None = None) -> None:
        super().__init__()
        self._let_pass = but_in.__code__ if but_in is not None else None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, func.name().partition(".")[0]
        if name in COPIES and self._let_pass in _codes():
            # Of a NumPy array, the fake device makes a tensor on the meta device.
            return func(*args, **kwargs | ({"device": CUDA} if "device" in kwargs else {}))
        if name in INDEXES and any(_is_mask(index) for index in args[1]):
            raise _fault("a boolean mask, whose shape depends on data", func)
        try:
            out = func(*args, **kwargs)
        except DataDependentOutputException as error:
            raise _fault("the host waits for a value", func) from error
        except DynamicOutputShapeException as error:
            raise _fault("the host waits for a shape that depends on data", func) from error
        except RuntimeError as error:
            if "on the same device" in str(error):
                raise _fault("devices are mixed", func) from error
            raise
        devices = {leaf.device.type for leaf in _tensors((args, kwargs, out))}
        if len(devices) > 1 and name not in TAKES_A_NUMBER:
            what = "a copy between host and device" if name in COPIES else "devices are mixed"
            raise _fault(what, func)
        return out


def _codes() -> list[CodeType]:
    """The functions that are running, innermost first."""
    return [frame.f_code for frame, _ in traceback.walk_stack(None)]


def _fault(what: str, operation: Any) -> FaultError:
    """The fault, and the innermost line of this project that led to it."""
    for frame, number in traceback.walk_stack(None):
        path = Path(frame.f_code.co_filename)
        ours = path.is_relative_to(ROOT) and ".venv" not in path.parts
        if ours and path not in HARNESS:
            line = linecache.getline(str(path), number).strip()
            return FaultError(f"{what}: {operation} at {path.relative_to(ROOT)}:{number}: {line}")
    return FaultError(f"{what}: {operation}")


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in optree.tree_leaves(tree) if isinstance(leaf, Tensor)]


def _is_mask(index: Tensor | None) -> bool:
    return index is not None and index.dtype in (torch.bool, torch.uint8)


@contextmanager
def _guard_of_cuda() -> Iterator[None]:
    """Lend CUDA the guard of the meta device, whose every method does nothing."""
    library = ctypes.CDLL(str(next((Path(torch.__file__).parent / "lib").glob("*c10.*"))))
    symbol = "_ZN3c104impl26device_guard_impl_registryE"
    guards = (ctypes.c_void_p * _GUARDS).in_dll(library, symbol)
    before, guards[_GUARD_OF_CUDA] = guards[_GUARD_OF_CUDA], guards[_GUARD_OF_META]
    try:
        yield
    finally:
        guards[_GUARD_OF_CUDA] = before


def _gradients(
    outputs: Tensor,
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | None = None,
    retain_graph: bool | None = None,
    is_grads_batched: bool = False,
) -> tuple[Tensor, ...]:
    """`torch.autograd.grad` of one output, by the backward functions themselves.

    The engine would record streams of a device that is not there.
    """
    if is_grads_batched:
        by_row: tuple[Tensor, ...] = torch.vmap(lambda grad: _gradients(outputs, inputs, grad))(
            grad_outputs
        )
        return by_row
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    first = outputs.grad_fn
    assert first is not None
    received: dict[Any, list[Tensor | None]] = {}
    _receive(received, first, outputs.output_nr, grad_outputs)
    found: dict[int, Tensor | None] = {}
    with torch.no_grad():
        for node in _from_last_to_first(first):
            grads = received.pop(node, None)
            if grads is None:
                continue
            if hasattr(node, "variable"):
                found[id(node.variable)] = grads[0]
                continue
            passed = node(*grads)
            passed = passed if isinstance(passed, tuple) else (passed,)
            for (after, number), grad in zip(node.next_functions, passed, strict=True):
                if after is not None and grad is not None:
                    _receive(received, after, number, grad)
    return tuple(found[id(one)] for one in wanted)


def _receive(received: dict[Any, list[Tensor | None]], node: Any, number: int, grad: Any) -> None:
    """Add a gradient to what has come in for one output of the forward function."""
    expected = node._input_metadata
    grads = received.setdefault(node, [None] * len(expected))
    # As the engine does, undo the broadcasting that backward functions leave to it.
    grad = grad.sum_to_size(expected[number].shape).to(expected[number].dtype)
    before = grads[number]
    grads[number] = grad if before is None else before + grad


def _from_last_to_first(node: Any) -> list[Any]:
    """All backward functions that a graph reaches, each before those that it feeds."""
    order: list[Any] = []
    seen: set[Any] = set()

    def visit(one: Any) -> None:
        if one is None or one in seen:
            return
        seen.add(one)
        for after, _ in one.next_functions:
            visit(after)
        order.append(one)

    visit(node)
    return order[::-1]
