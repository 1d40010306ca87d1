"""Two checkpoints of one name that take turns in a models folder."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import torch
from torch import Tensor

from models.checkpoints.checkpoint import load_checkpoint, save_manifest, save_weights
from models.files.folders import replacing_folder
from models.network.mulan import Mulan
from models.schema.config import ModelConfig
from models.zoo import ZOO

NAME = "digits"
TIMEOUT_S = 600.0
SMALL = {"width": 8, "depth": 1, "encoder_depth": 1, "groups": 4, "schedule_width": 8}
# Weights that are so much larger draw other images.
LARGER = 1.2


@dataclass(frozen=True)
class Place:
    """The folders of a run: its own, the models folder, and the checkpoints that take turns."""

    folder: Path
    root: Path
    sources: list[Path]

    @classmethod
    def within(cls, folder: Path, small: bool) -> "Place":
        """Fill a folder for a run."""
        sources, root = checkpoints(folder, small), folder / "models"
        shutil.copytree(sources[-1], root / NAME)
        return cls(folder, root, sources)


@dataclass
class Flip:
    """One exchange: when it began and ended, on the monotonic clock, and the checkpoint that the
    name stands for afterwards."""

    began: float
    ended: float
    checkpoint: str

    @property
    def seconds(self) -> float:
        """Seconds that it took."""
        return self.ended - self.began


def checkpoints(folder: Path, small: bool) -> list[Path]:
    """Write the two checkpoints: the shipped one, and one with other weights. If they are to be
    `small`, both have random weights, for machines that have little time."""
    shipped, other = folder / "shipped", folder / "other"
    shutil.copytree(ZOO / NAME, shipped)
    manifest, model = load_checkpoint(shipped)
    tensors, rewritten = model.state_dict(), {other: LARGER}
    # What was fitted on the shipped weights, or made for their architecture, does not go along.
    beside = ("calibration.json", "graphs")
    shutil.copytree(shipped, other, ignore=shutil.ignore_patterns(beside[0]))
    if small:
        config = manifest.config.model_copy(update=SMALL)
        tensors, rewritten = random_weights(config), {other: LARGER, shipped: 1.0}
        parameters = sum(tensor.numel() for tensor in tensors.values())
        manifest = manifest.model_copy(update={"config": config, "parameters": parameters})
        (shipped / beside[0]).unlink()
        for one in (shipped, other):
            shutil.rmtree(one / beside[1])
    for one, scale in rewritten.items():
        scaled = {name: scale * tensor if tensor.ndim > 1 else tensor
                  for name, tensor in tensors.items()}  # fmt: skip
        sha256 = save_weights(one, manifest.config, scaled)
        save_manifest(one, manifest.model_copy(update={"sha256": sha256}))
    return [other, shipped]


def random_weights(config: ModelConfig) -> dict[str, Tensor]:
    """Return random weights, none of which are zero."""
    torch.manual_seed(0)
    tensors = Mulan(config).state_dict()
    return {name: tensor + 0.05 * torch.randn_like(tensor) for name, tensor in tensors.items()}


def exchange(address: str, source: Path, root: Path) -> Flip:
    """Put a checkpoint into the models folder and have it loaded, as `mulan models push` does."""
    began = time.monotonic()
    with replacing_folder(root / NAME) as partial:
        shutil.copytree(source, partial, dirs_exist_ok=True)
    path = f"{address}/v2/repository/models/{NAME}/load"
    answer = httpx.post(path, timeout=TIMEOUT_S).raise_for_status().json()
    if answer["failures"]:
        raise RuntimeError(f"a worker failed: {answer['failures']}")
    return Flip(began, time.monotonic(), answer["checkpoint"])
