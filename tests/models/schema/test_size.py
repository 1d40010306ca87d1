"""The number of parameters that a configuration asks for is that of the network it makes."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from models.network.mulan import Mulan
from models.schema.mulan import MulanConfig


@st.composite
def configs(draw: st.DrawFn) -> MulanConfig:
    patch, groups = draw(st.integers(1, 2)), draw(st.sampled_from([1, 2, 4]))
    sides = [2 * patch * draw(st.integers(1, 3)) for _ in range(2)]
    latents = draw(st.sampled_from([0, 1, 3, 8]))
    return MulanConfig(
        image_shape=(sides[0], sides[1], draw(st.integers(1, 4))),
        width=4 * groups * draw(st.integers(1, 3)),
        depth=draw(st.integers(1, 4)),
        encoder_depth=draw(st.integers(1, 3)),
        attention=draw(st.booleans()),
        latent_size=latents,
        latent_k=min(latents, 2),
        fourier=tuple(range(draw(st.integers(0, 3)))),
        schedule_width=draw(st.none() | st.integers(1, 9)),
        groups=groups,
        patch=patch,
        coarse_width=draw(st.sampled_from([0, 4 * groups])),
    )


@given(configs())
def test_counted_without_building(config: MulanConfig) -> None:
    with torch.device("meta"):
        model = Mulan(config)
    assert config.parameters == sum(parameter.numel() for parameter in model.parameters())
