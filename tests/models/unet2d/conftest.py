"""Random networks of diffusers after an import."""

import copy
import functools
from typing import Any

import pytest
from tiny_unet import save, scheduler, unet
from unet_references import Import

from models.checkpoints.checkpoint import load_checkpoint
from models.checkpoints.diffusers_import import import_diffusers
from models.network.network import Network


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Import:
    """A function that returns a random network, of a size and number of classes and with the
    settings of its scheduler, after it was saved by diffusers and imported."""

    @functools.cache
    def made(size: int, classes: int | None, noise: tuple[tuple[str, Any], ...]) -> Network:
        folder = tmp_path_factory.mktemp("unet")
        network = unet(sample_size=size, num_class_embeds=classes)
        save(folder / "pipeline", network, scheduler(**dict(noise)))
        _, out = import_diffusers(folder / "pipeline", folder / "checkpoint")
        return load_checkpoint(out).model

    return lambda size=8, classes=None, **noise: copy.deepcopy(
        made(size, classes, tuple(noise.items()))
    )
