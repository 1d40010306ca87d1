"""Verdicts by levels on images of three channels and unequal sides."""

import numpy as np
import torch

from models.anomaly.level_fitting import fit_levels
from models.anomaly.rows import read
from models.evaluation.analytic import Mixture
from models.schema.manifest import Manifest
from models.schema.mulan import MulanConfig
from models.schema.specs import Levels

HEIGHT, WIDTH = 5, 9
CONFIG = MulanConfig(
    image_shape=(HEIGHT, WIDTH, 3), vocabulary=64, latent_size=4, latent_k=1, gamma_min=-8.0
)
# Red, green and blue rise by different amounts to the right.
MEAN = np.linspace(-0.5, 0.5, WIDTH)[None, :, None] * [1.0, 0.5, -1.0] * np.ones((HEIGHT, 1, 1))
DENOISER = Mixture(
    CONFIG,
    torch.ones(1),
    torch.from_numpy(MEAN.transpose(2, 0, 1).reshape(1, -1)),
    torch.full((1, CONFIG.dimensions), 0.01),
)
SPEC = Levels(levels=3)


def test_a_spot_of_another_colour_is_seen_where_it_is() -> None:
    dice = np.random.default_rng(0)
    x = MEAN + 0.1 * dice.standard_normal((240, *CONFIG.image_shape))
    tokens = np.floor((x + 1) * 32).clip(0, 63).astype(np.uint8)
    sets = [(read(DENOISER, part, SPEC, 0), part) for part in (tokens[:120], tokens[120:220])]
    manifest = Manifest(name="bars", config=CONFIG, sha256="a" * 64, parameters=1)
    calibration = fit_levels(
        manifest, SPEC, 0, sets[0], sets[1], lambda some: read(DENOISER, some, SPEC, 0), "test"
    )
    assert not calibration.power.blind
    spotted = tokens[220:].copy()
    # The grey stays as it was: red and blue are exchanged.
    spotted[:, 1:4, 6:9] = spotted[:, 1:4, 6:9, ::-1]
    found = read(DENOISER, spotted, SPEC, 0)
    values = [one.p_value for one in calibration.judge(found, spotted)]
    assert np.mean(np.array(values) <= 0.05) > 0.8
    heat = [calibration.heatmap(*pair) for pair in zip(found, spotted, strict=True)]
    mean = np.mean([one.values for one in heat if one is not None], axis=0)
    assert np.unravel_index(mean.argmax(), mean.shape) in [
        (y, x) for y in range(1, 4) for x in range(6, 9)
    ]
