"""A recipe small enough to train in a test."""

import pytest
from tiny_recipe import TINY

from models.files.images import divide, load_tokens
from models.training.recipe import Recipe, parse_recipe


@pytest.fixture(scope="session")
def tiny():
    """Recipe of a tiny model of the digits, with the optimisation's settings given in place."""

    def recipe(**optimisation) -> Recipe:
        settings = TINY | {"optimisation": TINY["optimisation"] | optimisation}
        return parse_recipe(settings, "tiny")

    return recipe


@pytest.fixture(scope="session")
def digits():
    """Train and density parts of the digits."""
    images, data = load_tokens("digits"), TINY["data"]
    parts = divide(len(images), data["split"], 0)
    return images[parts["train"]], images[parts["density"]]
