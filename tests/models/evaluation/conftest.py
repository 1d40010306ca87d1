"""One small trained checkpoint, shared by the tests of what measures checkpoints."""

from pathlib import Path

import pytest
import torch

from models.training.recipe import Recipe, parse_recipe
from models.training.run import train

SETTINGS = {
    "name": "small",
    "data": {
        "source": "digits",
        "licence": "CC BY 4.0",
        "split": {"train": 1000, "density": 40, "calibration": 40, "test": 300},
    },
    "model": {
        "image_shape": [8, 8, 1],
        "vocabulary": 17,
        "width": 8,
        "depth": 1,
        "encoder_depth": 1,
        "groups": 4,
        "fourier": [1],
        "latent_size": 5,
        "latent_k": 1,
        "schedule_width": 8,
        "gamma_min": -7.9,
        "patch": 2,
    },
    "optimisation": {
        "steps": 12,
        "batch_size": 32,
        "learning_rate": 2e-3,
        "held_out_every": 4,
        "information_price": -5.0,
        "aggregate_price": 10.0,
    },
}


@pytest.fixture(scope="session")
def small_recipe() -> Recipe:
    return parse_recipe(SETTINGS, "small")


@pytest.fixture(scope="session")
def small_checkpoint(small_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder."""
    folder = tmp_path_factory.mktemp("small") / "small"
    train(small_recipe, folder, torch.device("cpu"), "mulan models train small --out DIR")
    return folder
