"""What is said and drawn of a schedule, on schedules that are known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.evaluation.schedule.learned import (
    by_patch,
    draw_schedule,
    latent_use,
    mean_gamma,
    schedule_spread,
)
from models.files.images import Tokens
from models.network.mulan import Mulan
from models.schema.mulan import MulanConfig

CONFIG = MulanConfig(
    image_shape=(4, 6, 1),
    width=8,
    depth=1,
    encoder_depth=1,
    groups=4,
    fourier=(),
    latent_size=3,
    latent_k=1,
    schedule_width=4,
)
DARK_AND_BRIGHT: Tokens = np.repeat(np.array([10, 250], np.uint8), [30, 10]).reshape(-1, 1, 1, 1)
IMAGES: Tokens = np.broadcast_to(DARK_AND_BRIGHT, (40, 4, 6, 1)).copy()


class Brightness(torch.nn.Module):
    """Dark images choose latent 2, bright ones latent 0."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.flatten(1).mean(1)
        return torch.stack([mean, torch.full_like(mean, -9.0), -mean], dim=1)


def model(config: MulanConfig = CONFIG) -> Mulan:
    torch.manual_seed(0)
    made = Mulan(config).eval().requires_grad_(False)
    if config.latent_size:
        made.encoder = Brightness()
    return made


def test_latents_are_counted_and_shown_by_their_images() -> None:
    use = latent_use(model(), IMAGES)
    assert use.latents.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert use.counts.tolist() == [30, 10]
    np.testing.assert_allclose(use.means[0], 10 / 255)
    np.testing.assert_allclose(use.means[1], 250 / 255)


def test_spread() -> None:
    made = model()
    use = latent_use(made, IMAGES)
    found = schedule_spread(made, use)
    half = torch.full((2,), 0.5, dtype=torch.float64)
    gamma = made.gamma(use.latents).double().gamma(half)
    assert found.over_pixels == pytest.approx(
        0.75 * gamma[0].std(correction=0).item() + 0.25 * gamma[1].std(correction=0).item()
    )
    # Two values with weights 3/4 and 1/4: their standard deviation is sqrt(3)/4 of the distance.
    distance = (gamma[0] - gamma[1]).abs().mean().item()
    assert found.over_latents == pytest.approx(3**0.5 / 4 * distance)
    mean = 0.75 * gamma[0] + 0.25 * gamma[1]
    np.testing.assert_allclose(mean_gamma(made, use), mean)
    assert found.mean == pytest.approx(mean.mean().item())
    assert found.entropy == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert (found.images, found.latents_used) == (40, 2)


def test_a_pattern_of_patches_is_told_from_one_of_images() -> None:
    places = np.tile(np.array([[1.0, 2.0], [5.0, 0.0]]), (3, 4))[None]
    ramp = np.repeat(np.arange(4.0), 2)[None, None] + np.zeros((1, 6, 1))
    assert by_patch(places, 2) == pytest.approx(1)
    assert by_patch(ramp, 2) == pytest.approx(0)
    # The variance is 3.5 of the places, and 1.25 of the ramp.
    assert by_patch(places + ramp, 2) == pytest.approx(3.5 / 4.75)


@pytest.mark.parametrize(("changed", "measured"), [({"patch": 2}, True), ({}, False)])
def test_patches_are_measured_where_there_are_any(changed: dict[str, int], measured: bool) -> None:
    made = model(CONFIG.model_copy(update=changed))
    found = schedule_spread(made, latent_use(made, IMAGES)).by_patch
    assert (found is not None) == measured


def test_one_curve_for_all_has_no_spread() -> None:
    fixed = model(CONFIG.model_copy(update={"latent_size": 0, "latent_k": 0, "patch": 2}))
    found = schedule_spread(fixed, latent_use(fixed, IMAGES))
    assert found.over_pixels == found.over_latents == found.entropy == 0
    assert found.mean == pytest.approx((CONFIG.gamma_min + CONFIG.gamma_max) / 2)
    assert found.latents_used == 1
    assert found.by_patch is None


def test_a_schedule_that_begins_linear_has_no_spread() -> None:
    made = model(CONFIG.model_copy(update={"patch": 2}))
    made.gamma.straighten()
    found = schedule_spread(made, latent_use(made, IMAGES))
    assert found.over_pixels == pytest.approx(0, abs=1e-9)
    assert found.over_latents == pytest.approx(0, abs=1e-9)
    assert found.by_patch is None


def test_one_latent_has_a_spread_between_pixels_alone() -> None:
    one = CONFIG.model_copy(update={"latent_size": 1, "latent_k": 1})
    torch.manual_seed(0)
    made = Mulan(one).eval().requires_grad_(False)
    found = schedule_spread(made, latent_use(made, IMAGES))
    assert found.over_pixels > 0.001
    assert (found.over_latents, found.latents_used, found.entropy) == (0, 1, 0)


@pytest.mark.parametrize("latent_size", [0, 3])
def test_it_is_drawn(tmp_path: Path, latent_size: int) -> None:
    made = model(
        CONFIG.model_copy(update={"latent_size": latent_size, "latent_k": latent_size // 3})
    )
    draw_schedule(made, latent_use(made, IMAGES), tmp_path / "schedule.png")
    with Image.open(tmp_path / "schedule.png") as picture:
        assert len(np.unique(np.asarray(picture.convert("L")))) > 20
