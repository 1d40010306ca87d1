"""Counts of the operations that a GPU would be asked to launch."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

# These allocate, or ask about a tensor; they run no kernel. Nor does an operation that is a view.
WITHOUT_KERNEL = frozenset(
    {
        "aten::_reshape_alias",
        "aten::_unsafe_view",
        "aten::empty",
        "aten::empty_like",
        "aten::empty_strided",
        "aten::lift_fresh",
        "aten::new_empty",
        "aten::new_empty_strided",
        "prim::device",
    }
)


def launches(operation: OpOverload) -> bool:
    """Whether a GPU would run at least one kernel for this operation."""
    return not operation.is_view and operation.name().partition(".")[0] not in WITHOUT_KERNEL


def count_operations(work: Callable[[], Any]) -> Counter[str]:
    """Run `work`, and return how often each operation that launches a kernel was called, by name.

    Operations are counted below autograd, on whatever device they run. Each counts once, though
    some are several kernels.
    """
    counts: Counter[str] = Counter()

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if launches(func):
                counts[func.name()] += 1
            return func(*args, **(kwargs or {}))

    with Counting():
        work()
    return counts
