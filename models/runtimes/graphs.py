"""Work on fixed tensors that is recorded once and replayed: CUDA graphs, and their stand-in."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

Tensors = tuple[Tensor, ...]

# Runs before a capture, in which libraries choose their kernels and allocate, as PyTorch advises.
WARM_UPS = 3


class Recording(NamedTuple):
    """Work that was recorded: its `outputs`, always the same tensors, and what computes them again
    from whatever the work's inputs hold by then."""

    outputs: Tensors
    replay: Callable[[], None]


class GraphCapture(Protocol):
    """A way to record work. The work reads and writes tensors that stay where they are, waits for
    nothing, and is the same each time; the host's part of it is not run again in a replay."""

    def capture(self, work: Callable[[], Tensors]) -> Recording:
        """Run `work` and record it."""
        ...


class CudaGraphs:
    """CUDA graphs of one device, which share their memory.

    A replay may therefore overwrite the outputs of another recording.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        with torch.cuda.device(device):
            self._pool = torch.cuda.graph_pool_handle()

    def capture(self, work: Callable[[], Tensors]) -> Recording:
        with torch.cuda.device(self.device):
            main = torch.cuda.current_stream()
            aside: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(main)
            with torch.cuda.stream(aside):
                for _ in range(WARM_UPS):
                    work()
            main.wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            # Other threads may be at work on other devices meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                outputs = work()
        return Recording(outputs, graph.replay)


class Reruns:
    """The stand-in on a machine without CUDA: a replay runs the work again, and puts what comes of
    it where the outputs are."""

    def capture(self, work: Callable[[], Tensors]) -> Recording:
        outputs = work()

        def replay() -> None:
            for fixed, fresh in zip(outputs, work(), strict=True):
                fixed.copy_(fresh)

        return Recording(outputs, replay)
