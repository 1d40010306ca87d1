"""The time of a training run, measured on a few steps before anybody waits for it."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from models.training.batches import Batches
from models.training.recipe import Recipe
from models.training.samples import COUNT, STEPS
from models.training.trainer import WATCH_DRAWS, WATCHED, Trainer

_STEPS = 2
_CLEARLY_LESS = 0.9
_FEWEST, _MOST = 50, 20_000
# Looks at the held-out images take at most this share of the time, unless few of them take more.
_LOOKS, _FEWEST_LOOKS, _LOOKING = 20, 4, 0.15
# A row that is only looked at costs about this share of one that is trained on.
_FORWARD = 1 / 3


class Plan(NamedTuple):
    """Number of steps, steps between looks, the seconds that all of it takes, and those of one
    evaluation of one row, as verdicts need it."""

    steps: int
    held_out_every: int
    seconds: float
    evaluation: float


def plan(
    recipe: Recipe, batches: Batches, held_out: int, device: torch.device, seconds: float
) -> Plan:
    """Return the number of steps that fit into `seconds`, by the measured time of a step, where
    `held_out` images are looked at.

    A recipe has at least 50 steps, whatever they take. On a CPU one thread is tried too: on a busy
    machine it can be faster than several, and torch then keeps to it.
    """
    none = np.empty((0, *recipe.model.image_shape), np.uint8)
    with tempfile.TemporaryDirectory() as work:
        trainer = Trainer(recipe, batches, none, device, Path(work))
        step = trainer.time_steps(_STEPS)
        threads = torch.get_num_threads()
        if device.type == "cpu" and threads > 1:
            torch.set_num_threads(1)
            alone = trainer.time_steps(_STEPS)
            if alone < step * _CLEARLY_LESS:
                step = alone
            else:
                torch.set_num_threads(threads)
    rows = WATCH_DRAWS * min(WATCHED, held_out) + COUNT * STEPS
    look = _FORWARD * step * rows / recipe.optimisation.batch_size
    looks = max(_FEWEST_LOOKS, min(_LOOKS, int(_LOOKING * seconds / look)))
    fitting = int((seconds - looks * look) / step) // 50 * 50
    steps = max(_FEWEST, min(_MOST, fitting))
    row = step / recipe.optimisation.batch_size
    return Plan(steps, -(-steps // looks), steps * step + looks * look, _FORWARD * row)
