"""A training step that is recorded once and replayed: one launch for its thousands of kernels."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from models.runtimes.graphs import GraphCapture, Recording


class CapturedStep:
    """One step of an optimiser on a batch of a fixed shape, as a CUDA graph.

    The step draws its noise from torch's default generator of the device, whose seed is read anew
    at each replay.
    """

    def __init__(
        self,
        graphs: GraphCapture,
        step: Callable[[Tensor], Tensor],
        state: Callable[[], Sequence[Tensor]],
    ) -> None:
        """Record nothing yet. `step` takes a batch and returns figures; `state` returns all tensors
        that it changes, which have to exist before the first call."""
        self._graphs, self._step, self._state = graphs, step, state
        self._recorded: tuple[Tensor, Recording] | None = None

    def prepare(self, batch: Tensor) -> None:
        """Record the step, unless it is recorded already. The state does not change."""
        if self._recorded is not None:
            return
        given = batch.clone()
        # A capture runs the step a few times first.
        kept = [tensor.clone() for tensor in self._state()]
        recording = self._graphs.capture(lambda: (self._step(given),))
        with torch.no_grad():
            for tensor, value in zip(self._state(), kept, strict=True):
                tensor.copy_(value)
        self._recorded = given, recording

    def __call__(self, batch: Tensor) -> Tensor:
        """Take the step and return its figures."""
        self.prepare(batch)
        assert self._recorded is not None
        given, recording = self._recorded
        given.copy_(batch)
        recording.replay()
        return recording.outputs[0].clone()
