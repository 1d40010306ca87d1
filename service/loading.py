"""From checkpoint folders to served models: verified, on the device, warm."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from models.anomaly.calibration import Calibration, read_calibration
from models.checkpoints.checkpoint import load_checkpoint
from models.files.shelf import checkpoint_folders
from models.runtimes.warmup import warm_up
from models.schema.errors import CheckpointError
from models.schema.manifest import Manifest
from models.schema.presets import presets
from models.zoo import ZOO
from service.engine.scheduler import SchedulerLimits
from service.engine.tasks import Served
from service.telemetry.device import DeviceMemory

logger = logging.getLogger(__name__)


class LoadedModel(NamedTuple):
    """A checkpoint's manifest and calibration, what runs it, and the seconds that took."""

    manifest: Manifest
    served: Served
    calibration: Calibration | None
    seconds: float


def load_models(
    root: Path = ZOO, device: torch.device | None = None, rows: int = SchedulerLimits().tick
) -> list[LoadedModel]:
    """Every checkpoint directly below `root`, ready for calls of at most `rows` rows.

    One that cannot be served is refused with a line in the log; the others are served.
    """
    device = device or best_device()
    models: list[LoadedModel] = []
    for folder in checkpoint_folders(root):
        try:
            loaded = _load(folder, device, rows)
            _check_unique(loaded.manifest, models)
        except CheckpointError as error:
            logger.error("refused %s: %s", folder.name, error)
        except Exception as error:
            logger.error("refused %s: %s: %r", folder.name, folder, error)
        else:
            models.append(loaded)
            logger.info("serving %s on %s", loaded.manifest.name, loaded.served.execution)
    return models


def best_device() -> torch.device:
    """CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def execution(device: torch.device) -> str:
    """What determines a result's bytes beside the request: device type, runtime, dtype, build."""
    build = f"torch-{torch.__version__.partition('+')[0]}"
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"cuda/eager/float32/{build}-sm{major}{minor}"
    return f"{device.type}/eager/float32/{build}-{torch.backends.cpu.get_cpu_capability().lower()}"


def device_memory() -> list[DeviceMemory]:
    """Of each CUDA device that is in use here; none on the CPU."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return []
    return [
        DeviceMemory(
            f"cuda:{index}",
            torch.cuda.memory_allocated(index),
            torch.cuda.memory_reserved(index),
        )
        for index in range(torch.cuda.device_count())
    ]


def _load(folder: Path, device: torch.device, rows: int) -> LoadedModel:
    began = time.perf_counter()
    manifest, model = load_checkpoint(folder, device)
    presets(manifest)
    denoiser = warm_up(model, rows)
    logger.debug("%s: calls are padded to %d rows", manifest.name, denoiser.quantum)
    served = Served(denoiser, device, execution(device))
    calibration = _calibration(folder, manifest)
    return LoadedModel(manifest, served, calibration, time.perf_counter() - began)


def _calibration(folder: Path, manifest: Manifest) -> Calibration | None:
    """None too for one that is not this checkpoint's: the rest is served all the same."""
    try:
        return read_calibration(folder, manifest)
    except CheckpointError as error:
        logger.error("%s gives no verdicts: %s", manifest.name, error)
        return None


def _check_unique(manifest: Manifest, models: Sequence[LoadedModel]) -> None:
    for other in models:
        if other.manifest.name == manifest.name:
            raise CheckpointError(f"another checkpoint is already called {manifest.name}")
        if other.manifest.sha256 == manifest.sha256:
            raise CheckpointError(f"these are the weights of {other.manifest.name}")
