"""The quantum is found, not believed."""

import torch
from torch import Tensor

from models.network.mulan import Mulan
from models.network.schedule import NoiseLevel
from models.runtimes.eager import EagerDenoiser
from models.runtimes.warmup import agrees, warm_up
from models.schema.config import ModelConfig

CONFIG = ModelConfig(
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


class Unsteady(Mulan):
    """Rounds differently in calls of fewer than `steady` rows."""

    steady = 0
    calls: list[int]

    def epsilon(self, x: Tensor, noise: NoiseLevel, network_time: Tensor, latent: Tensor) -> Tensor:
        self.calls.append(len(x))
        return super().epsilon(x, noise, network_time, latent) + (
            1e-6 if len(x) < self.steady else 0
        )


def unsteady(steady: int) -> Unsteady:
    torch.manual_seed(0)
    model = Unsteady(CONFIG).eval().requires_grad_(False)
    model.steady, model.calls = steady, []
    return model


def test_a_steady_network_needs_no_more_than_16() -> None:
    assert warm_up(unsteady(0), 64).quantum == 16


def test_the_quantum_rises_until_bytes_agree() -> None:
    assert warm_up(unsteady(17), 64).quantum == 32
    assert agrees(EagerDenoiser(unsteady(17), 32), 64)
    assert not agrees(EagerDenoiser(unsteady(17), 16), 64)


def test_where_nothing_agrees_every_call_is_as_large_as_the_largest() -> None:
    model = unsteady(64)
    assert warm_up(model, 64).quantum == 64
    assert max(model.calls) == 64


def test_a_cotangent_call_alone_can_raise_the_quantum() -> None:
    class UnsteadyBackwards(Unsteady):
        def epsilon(
            self, x: Tensor, noise: NoiseLevel, network_time: Tensor, latent: Tensor
        ) -> Tensor:
            extra = 1e-6 * x if x.requires_grad and len(x) < 32 else 0
            return Mulan.epsilon(self, x, noise, network_time, latent) + extra

    torch.manual_seed(0)
    assert warm_up(UnsteadyBackwards(CONFIG).eval().requires_grad_(False), 64).quantum == 32
