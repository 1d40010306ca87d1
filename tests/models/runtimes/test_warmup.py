"""The quantum is found, not believed."""

import torch
from torch import Tensor

from models.network.mulan import Mulan
from models.runtimes.denoiser import NetworkDenoiser
from models.runtimes.eager import EagerRuntime
from models.runtimes.warmup import agrees, warm_up
from models.schema.mulan import MulanConfig

CONFIG = MulanConfig(
    image_shape=(4, 4, 1),
    vocabulary=17,
    width=8,
    depth=1,
    encoder_depth=1,
    groups=4,
    latent_size=4,
    latent_k=1,
    schedule_width=8,
    fourier=(2,),
)


class Unsteady(EagerRuntime):
    """Rounds differently in calls of fewer than `forwards` rows, or with cotangents of fewer than
    `backwards`."""

    def __init__(self, forwards: int, backwards: int = 0) -> None:
        torch.manual_seed(0)
        super().__init__(Mulan(CONFIG).eval().requires_grad_(False))
        self.forwards, self.backwards = forwards, backwards
        self.calls: list[int] = []

    def score(self, x: Tensor, network_time: Tensor, latent: Tensor) -> Tensor:
        self.calls.append(len(x))
        return super().score(x, network_time, latent) + 1e-6 * (len(x) < self.forwards)

    def score_and_pull(
        self, x: Tensor, network_time: Tensor, latent: Tensor, cotangents: Tensor
    ) -> tuple[Tensor, Tensor]:
        self.calls.append(len(x))
        out, pulled = super().score_and_pull(x, network_time, latent, cotangents)
        return out, pulled + 1e-6 * (len(x) < self.backwards)


def quantum(runtime: Unsteady) -> int:
    return warm_up(runtime.model, 64, runtime).quantum


def test_a_steady_network_needs_no_more_than_16() -> None:
    assert quantum(Unsteady(0)) == 16


def test_a_runtime_that_needs_no_padding_gets_none() -> None:
    class Single(Unsteady):
        least = 1

    assert quantum(Single(2)) in (2, 4, 8, 16)
    runtime = Single(0)
    runtime.score = lambda x, *_: x.clone()  # type: ignore[method-assign]
    runtime.score_and_pull = lambda x, s, z, v: (x.clone(), v.clone())  # type: ignore[method-assign]
    assert quantum(runtime) == 1


def test_the_quantum_rises_until_bytes_agree() -> None:
    runtime = Unsteady(17)
    assert quantum(runtime) == 32
    assert agrees(NetworkDenoiser(runtime.model, runtime, 32), 64)
    assert not agrees(NetworkDenoiser(runtime.model, runtime, 16), 64)


def test_where_nothing_agrees_every_call_is_as_large_as_the_largest() -> None:
    runtime = Unsteady(64)
    assert quantum(runtime) == 64
    assert max(runtime.calls) == 64


def test_a_cotangent_call_alone_can_raise_the_quantum() -> None:
    assert quantum(Unsteady(0, backwards=32)) == 32
