"""Loading of checkpoint folders: the models are verified, moved to their device and warmed up."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import torch

from models.anomaly.kept import AnyCalibration, read_calibration
from models.anomaly.level_calibration import LevelCalibration
from models.checkpoints.checkpoint import load_checkpoint
from models.files.shelf import folders, manifests
from models.runtimes.choice import RuntimeName, Wish, choose
from models.runtimes.runtime import Runtime
from models.schema.errors import CheckpointError, MissingExtraError, NoManifestError
from models.schema.manifest import Manifest, read_manifest
from models.schema.presets import presets
from models.zoo import ZOO
from service.engine.scheduler import SchedulerLimits
from service.errors import ServeError, UnknownModel
from service.rows import Served
from service.telemetry.device import DeviceMemory

logger = logging.getLogger(__name__)

DEFAULT = Wish()


class LoadedModel(NamedTuple):
    """A checkpoint that is ready, with its manifest and calibration, the seconds to load it, and
    the runtime that was chosen."""

    manifest: Manifest
    served: Served
    calibration: AnyCalibration | None
    seconds: float
    runtime: RuntimeName


def load_models(
    root: Path = ZOO,
    device: torch.device | None = None,
    rows: int = SchedulerLimits().tick,
    wish: Wish = DEFAULT,
    like: Sequence[LoadedModel] = (),
) -> list[LoadedModel]:
    """Load every checkpoint directly below `root`, for network calls of at most `rows` rows, in the
    runtime that is wished for, or that the same checkpoint has in `like`.

    A checkpoint that cannot be served is left out, with a line in the log.
    """
    device = device or best_device()
    models: list[LoadedModel] = []
    chosen = {model.manifest.sha256: model.runtime for model in like}
    for folder in folders(root):
        logger.info("loading %s", folder.name)
        try:
            loaded = _load(folder, device, rows, wish, chosen, _calibration)
            _check_unique(loaded.manifest, models)
        except NoManifestError as error:
            logger.info("%s", error)
        except (CheckpointError, MissingExtraError) as error:
            logger.error("refused %s: %s", folder.name, error)
        except Exception as error:
            logger.error("refused %s: %s: %r", folder.name, folder, error)
        else:
            models.append(loaded)
            logger.info("serving %s on %s", loaded.manifest.name, loaded.served.execution)
    return models


def load_on(
    devices: Sequence[torch.device], root: Path, rows: int, wish: Wish = DEFAULT
) -> list[list[LoadedModel]]:
    """Load the checkpoints below `root` on each device, as `load_models` does, and return for each
    those that all of them serve, in one order.

    Raises ServeError where the bytes of results would depend on which of the devices runs a job.
    """
    # The fastest runtime is chosen on the first device, because measurements differ.
    first = load_models(root, devices[0], rows, wish)
    others = [load_models(root, device, rows, wish, first) for device in devices[1:]]
    loaded = [{model.manifest.sha256: model for model in models} for models in (first, *others)]
    everywhere = [sha256 for sha256 in loaded[0] if all(sha256 in models for models in loaded)]
    for sha256 in everywhere:
        _check_alike([models[sha256] for models in loaded])
    return [[models[sha256] for sha256 in everywhere] for models in loaded]


def load_beside(
    devices: Sequence[torch.device], folder: Path, rows: int, wish: Wish = DEFAULT
) -> list[LoadedModel]:
    """Load the checkpoint in `folder` on each device, beside those that are served.

    Raises CheckpointError, also for a calibration that `load_models` would leave out, and
    ServeError where the bytes of results would depend on which of the devices runs a job.
    """
    first = _load(folder, devices[0], rows, wish, {}, read_calibration)
    runtimes = {first.manifest.sha256: first.runtime}
    others = (
        _load(folder, device, rows, wish, runtimes, read_calibration) for device in devices[1:]
    )
    models = [first, *others]
    _check_alike(models)
    return models


def read_again(models: Sequence[LoadedModel], folder: Path) -> list[LoadedModel]:
    """Return a checkpoint that is loaded on several devices with the manifest and the calibration
    that its folder has now. Raises CheckpointError."""
    manifest = read_manifest(folder)
    before = models[0].manifest
    if (manifest.sha256, manifest.config) != (before.sha256, before.config):
        raise CheckpointError(f"{folder}: the manifest is of other weights, or changed meanwhile")
    presets(manifest)
    calibration = read_calibration(folder, manifest)
    scales = manifest.ode_error_scales
    return [
        model._replace(
            manifest=manifest,
            served=model.served._replace(ode_error_scales=scales),
            calibration=calibration,
        )
        for model in models
    ]


def find_checkpoint(name: str, root: Path) -> tuple[Path, Manifest]:
    """Return the folder directly below `root` whose checkpoint has this name, with its manifest.

    Raises UnknownModel, and CheckpointError where there are two, or for a damaged manifest in the
    folder of this name.
    """
    found: list[tuple[Path, Manifest]] = []
    for folder, manifest in manifests(root):
        if isinstance(manifest, CheckpointError):
            if folder.name == name:
                raise manifest
        elif manifest.name == name:
            found.append((folder, manifest))
    if not found:
        raise UnknownModel(f"no checkpoint in the models folder is called {name!r}")
    if len(found) > 1:
        both = " and ".join(folder.name for folder, _ in found)
        raise CheckpointError(f"{both} are both called {name}: leave one of them")
    return found[0]


def torch_threads(models: Iterable[LoadedModel], threads: int) -> int:
    """Return how many of `threads` torch has where these checkpoints are served: one where it runs
    no network of them, since it has little to do then, and its threads would spin beside ONNX
    Runtime's."""
    idle = all(model.runtime == "onnx" and not model.served.sample_execution for model in models)
    return 1 if idle else threads


def spare_threads(models: Iterable[LoadedModel]) -> None:
    """Give torch the threads of `torch_threads`, of those that it has."""
    torch.set_num_threads(torch_threads(models, torch.get_num_threads()))


def best_device() -> torch.device:
    """Return the CUDA device if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def find_devices(names: str) -> list[torch.device]:
    """Return the devices that the setting `devices` names.

    Raises ServeError for a device that this machine does not have.
    """
    found = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    wanted = (found or ["cpu"]) if names == "all" else names.split(",")
    for name in wanted:
        if name not in ("cpu", *found):
            here = ", ".join(found) or "none"
            raise ServeError(
                f"there is no device {name} (MULAN_DEVICES); CUDA devices here: {here}"
            )
    return [torch.device(name) for name in wanted]


def execution(device: torch.device, runtime: Runtime) -> str:
    """Return the name of what determines a result's bytes beside the request: device type, runtime,
    precision and build."""
    return f"{device.type}/{runtime.name}/{runtime.precision}/{runtime.version}"


def _check_alike(models: Sequence[LoadedModel]) -> None:
    """Raise ServeError where the bytes of a checkpoint's results would depend on the device."""
    executions = sorted({_executions(model.served) for model in models})
    if len(executions) > 1:
        raise ServeError(
            f"{models[0].manifest.name} would run as {' and as '.join(executions)}, and results "
            "would depend on where: choose devices of one kind (MULAN_DEVICES)"
        )


def _executions(served: Served) -> str:
    both = dict.fromkeys((served.execution, served.sample_execution or served.execution))
    return ", samples ".join(both)


def device_memory() -> list[DeviceMemory]:
    """Return the memory of each CUDA device in use, and nothing for the CPU."""
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


def _load(
    folder: Path,
    device: torch.device,
    rows: int,
    wish: Wish,
    runtimes: Mapping[str, RuntimeName],
    calibration_of: Callable[[Path, Manifest], AnyCalibration | None],
) -> LoadedModel:
    began = time.perf_counter()
    checkpoint = load_checkpoint(folder, device)
    manifest = checkpoint.manifest
    presets(manifest)
    wish = wish._replace(runtime=runtimes.get(manifest.sha256, wish.runtime))
    chosen = choose(checkpoint, folder, rows, wish)
    logger.debug("%s: calls are padded to %d rows", manifest.name, chosen.denoiser.quantum)
    served = Served(
        chosen.denoiser,
        device,
        execution(device, chosen.exact.runtime),
        ode_error_scales=manifest.ode_error_scales,
    )
    if chosen.samples is not chosen.exact:
        served = served._replace(sample_execution=execution(device, chosen.samples.runtime))
    calibration = calibration_of(folder, manifest)
    seconds = time.perf_counter() - began
    runtime = cast(RuntimeName, chosen.exact.runtime.name)
    return LoadedModel(manifest, served, calibration, seconds, runtime)


def _calibration(folder: Path, manifest: Manifest) -> AnyCalibration | None:
    """Read the calibration; None, with a line in the log, for one of another checkpoint."""
    try:
        calibration = read_calibration(folder, manifest)
    except CheckpointError as error:
        logger.error("%s gives no verdicts: %s", manifest.name, error)
        return None
    if isinstance(calibration, LevelCalibration):
        say = logger.warning if calibration.power.blind else logger.info
        say("%s: %s", manifest.name, calibration.power.warning or calibration.power.summary)
    return calibration


def _check_unique(manifest: Manifest, models: Sequence[LoadedModel]) -> None:
    for other in models:
        if other.manifest.name == manifest.name:
            raise CheckpointError(f"another checkpoint is already called {manifest.name}")
        if other.manifest.sha256 == manifest.sha256:
            raise CheckpointError(f"these are the weights of {other.manifest.name}")
