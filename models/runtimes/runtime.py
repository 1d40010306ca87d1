"""The interface of a runtime: a way to run a checkpoint's score network."""

from typing import Literal, Protocol

from torch import Tensor

Precision = Literal["float32", "bfloat16"]


class Runtime(Protocol):
    """The score network of one checkpoint on one device, as it is called thousands of times.

    `name` and `version` are what a client reads in `execution`; everything on which the bytes of a
    row depend, beside the device's type, is in one of them or in `precision`. Kernels choose their
    order of summation by the number of rows. `least` is the smallest number of rows from which the
    runtime's author expects equal bytes for a row; `models.runtimes.warmup` verifies it, and
    `models.runtimes.denoiser` pads every call to a multiple of `least`, or of more.

    All tensors are float32, or float64 where a runtime can, on the device of the model. `x` is
    x_t `[rows, C, H, W]`, `network_time` `[rows]`, `latent` k-hot `[rows, n]`, or the class
    one-hot. Every result is a new tensor that later calls leave alone, and depends only on its own
    row.
    """

    name: str
    version: str
    precision: Precision
    least: int

    def score(self, x: Tensor, network_time: Tensor, latent: Tensor) -> Tensor:
        """Return the network's own output `[rows, C, H, W]`, in the dtype of `x`."""
        ...

    def score_and_pull(
        self, x: Tensor, network_time: Tensor, latent: Tensor, cotangents: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the output, and J^T v `[rows, probes, C, H, W]` for each of the `cotangents` v
        `[rows, probes, C, H, W]`, where J is the derivative of the output by `x`.

        It is asked of runtimes in float32 alone.
        """
        ...
