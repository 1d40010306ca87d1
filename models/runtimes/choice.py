"""The choice of a checkpoint's runtime: what is asked for, or the fastest that passes the gate."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from models.checkpoints.checkpoint import Checkpoint
from models.files.folders import write_atomically
from models.rows.denoiser import Denoiser
from models.rows.rows import Query, take
from models.runtimes.cuda_graph import cuda_graph_runtime
from models.runtimes.denoiser import NetworkDenoiser, TwoPrecisions
from models.runtimes.eager import EagerRuntime
from models.runtimes.gate import check, questions
from models.runtimes.onnx import OnnxRuntime
from models.runtimes.runtime import Precision, Runtime
from models.runtimes.warmup import be_exact, warm_up
from models.schema.errors import CheckpointError, UnavailableRuntimeError

logger = logging.getLogger(__name__)

RuntimeName = Literal["auto", "onnx", "eager", "cuda-graph"]
# What `auto` tries on a device.
TRIED: dict[str, tuple[RuntimeName, ...]] = {
    "cpu": ("onnx", "eager"),
    "cuda": ("cuda-graph", "onnx", "eager"),
}
REPEATS = 2


class Chosen(NamedTuple):
    """The denoiser of likelihoods and verdicts, in float32, and that of samples."""

    exact: NetworkDenoiser
    samples: NetworkDenoiser

    @property
    def denoiser(self) -> Denoiser:
        """Both as one."""
        return self.exact if self.exact is self.samples else TwoPrecisions(*self)


class Wish(NamedTuple):
    """The wishes of an operator; the folder in which measurements are kept, if any; and the threads
    of the networks on a CPU, those of torch where left out."""

    runtime: RuntimeName = "auto"
    sample_dtype: Precision = "float32"
    cache: Path | None = None
    threads: int | None = None


def choose(checkpoint: Checkpoint, folder: Path, rows: int, wish: Wish) -> Chosen:
    """Return a checkpoint's denoisers, warm, for calls of at most `rows` rows.

    Each runtime has passed the gate. `folder` is the checkpoint's. Raises CheckpointError where
    the runtime that is asked for does not fit, or samples in bfloat16 are too far off.
    """
    be_exact()
    manifest, model = checkpoint
    threads = wish.threads or torch.get_num_threads()
    eager = NetworkDenoiser(model, EagerRuntime(model))
    names = TRIED[model.device.type] if wish.runtime == "auto" else (wish.runtime,)
    fit: list[NetworkDenoiser] = []
    for name in names:
        try:
            denoiser = NetworkDenoiser(model, _runtime(name, checkpoint, folder, threads))
            if name != "eager":
                with torch_threads(1):
                    check(denoiser, eager)
        except UnavailableRuntimeError as error:
            if wish.runtime != "auto":
                raise CheckpointError(f"not served by {name}: {error}") from error
            logger.info("%s is not served by %s: %s", manifest.name, name, error)
        else:
            fit.append(denoiser)
    runtime = _fastest(fit, manifest.sha256, wish.cache, threads).runtime
    with torch_threads(torch_threads_beside(runtime, threads)):
        exact = warm_up(model, rows, runtime)
    if wish.sample_dtype == "float32":
        return Chosen(exact, exact)
    rounded = cuda_graph_runtime if model.device.type == "cuda" else EagerRuntime
    try:
        samples = NetworkDenoiser(model, rounded(model, "bfloat16"))
        check(samples, eager)
    except UnavailableRuntimeError as error:
        raise CheckpointError(f"no samples in {wish.sample_dtype}: {error}") from error
    return Chosen(exact, warm_up(model, rows, samples.runtime))


def torch_threads_beside(runtime: Runtime, threads: int) -> int:
    """Return how many threads torch has where a `runtime` computes with `threads`.

    Beside ONNX Runtime torch has little to do, and its idle threads, which spin, would take the
    processor from ONNX Runtime's.
    """
    return 1 if runtime.name == "onnx" else threads


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch have so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _runtime(name: RuntimeName, checkpoint: Checkpoint, folder: Path, threads: int) -> Runtime:
    model = checkpoint.model
    builders: dict[str, Callable[[], Runtime]] = {
        "eager": lambda: EagerRuntime(model),
        "onnx": lambda: OnnxRuntime(model, folder, threads),
        "cuda-graph": lambda: cuda_graph_runtime(model),
    }
    return builders[name]()


def _fastest(
    fit: Sequence[NetworkDenoiser], sha256: str, cache: Path | None, threads: int
) -> NetworkDenoiser:
    """Return the fastest by a short measurement, or by one of before in the folder `cache`."""
    if len(fit) == 1:
        return fit[0]
    measured = _remembered(fit, sha256, cache, threads)
    return fit[min(range(len(fit)), key=lambda index: measured[index])]


def _remembered(
    fit: Sequence[NetworkDenoiser], sha256: str, cache: Path | None, threads: int
) -> list[float]:
    """Return the seconds of each; they are kept by all on which they depend."""
    runtimes = [f"{found.runtime.name} {found.runtime.version}" for found in fit]
    device = fit[0].model.device
    known = [sha256, str(device), _device_name(device), threads, *runtimes]
    path = None
    if cache is not None:
        digest = hashlib.sha256(json.dumps(known).encode()).hexdigest()
        path = cache / "runtimes" / f"{digest}.json"
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))["seconds"]
            if len(kept) == len(fit):
                return [float(seconds) for seconds in kept]
        except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
            logger.debug("no measurement is kept in %s: %r", path, error)
    seconds = []
    for found in fit:
        with torch_threads(torch_threads_beside(found.runtime, threads)):
            seconds.append(_seconds(found))
    logger.debug(
        "seconds of a small and a large call: %s", dict(zip(runtimes, seconds, strict=True))
    )
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps({"of": known, "seconds": seconds}).encode())
        except OSError as error:
            logger.debug("the measurement is not kept: %s", error)
    return seconds


def _seconds(denoiser: NetworkDenoiser) -> float:
    """Return the time of a call with one row and of one with eight, the best of a few."""
    query, condition = questions(denoiser)
    total = 0.0
    for rows in 1, len(query.x):
        index = torch.arange(rows, device=query.x.device)
        x, t, part = take((query.x, query.t, condition), index)
        taken = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            denoiser.evaluate(Query(x, t), part).eps.sum().item()
            taken.append(time.perf_counter() - began)
        total += min(taken)
    return total


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return torch.backends.cpu.get_cpu_capability()
