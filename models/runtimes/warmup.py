"""Warm-up of a runtime: its first calls, and the batch size from which bytes stay the same."""

import hashlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from models.network.network import Network
from models.rows.latents import drawn
from models.rows.noise import Stream, normal, rademacher, uniform
from models.rows.rows import NoiseKey, Query, take
from models.runtimes.denoiser import EAGER_QUANTUM, NetworkDenoiser
from models.runtimes.eager import EagerRuntime
from models.runtimes.runtime import Runtime

# Multiples of a quantum that are tried: calls of all sizes would take seconds at start.
TRIED = (1, 2, 3, 5, 17)


class Rows(NamedTuple):
    """Points, times, latents and cotangents like those of solvers' queries."""

    x: Tensor
    t: Tensor
    latent: Tensor
    cotangents: Tensor


Outputs = Callable[[NetworkDenoiser, Rows], Iterator[Tensor]]


def warm_up(model: Network, rows: int, runtime: Runtime | None = None) -> NetworkDenoiser:
    """Return a denoiser whose bytes for one row are the same in every call of at most `rows` rows.

    Its quantum is the least of the runtime's own, doubled as often as needed, that passes the
    test; so is that of encoder and schedule, from 16. A quantum of `rows` or more always passes,
    because then all calls have one size. The runtime is eager by default.
    """
    be_exact()
    denoiser = NetworkDenoiser(model, runtime or EagerRuntime(model), eager_quantum=EAGER_QUANTUM)
    while denoiser.eager_quantum < rows and not _agrees(
        denoiser, rows, denoiser.eager_quantum, _encoded
    ):
        denoiser.eager_quantum *= 2
    while denoiser.quantum < rows and not agrees(denoiser, rows):
        denoiser.quantum *= 2
    for quantum, outputs in (denoiser.eager_quantum, _encoded), (denoiser.quantum, _evaluated):
        if quantum >= rows:
            for _ in outputs(denoiser, rows_of_all_kinds(denoiser, rows)):
                pass
    if model.device.type == "cuda":
        denoiser.runtime.version += f"-k{_fingerprint(denoiser)}"
    return denoiser


def _fingerprint(denoiser: NetworkDenoiser) -> str:
    """Return eight digits that change with the bytes of the network's answers.

    cuDNN chooses its kernels by their speed when they are first used, so that another process may
    have others.
    """
    answers = hashlib.sha256()
    for answer in _evaluated(denoiser, rows_of_all_kinds(denoiser, denoiser.quantum)):
        answers.update(answer.cpu().numpy().tobytes())
    return answers.hexdigest()[:8]


def be_exact() -> None:
    """Set torch to full float32 and to kernels that give the same bytes twice.

    Among these cuDNN takes the fastest by measuring, because its guess for a 3x3 convolution in
    float32 is an FFT, which is far slower.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = True


def agrees(denoiser: NetworkDenoiser, rows: int) -> bool:
    """Return True if rows get the same bytes in calls of any multiple of the quantum up to
    `rows`, as far as a few multiples show."""
    return _agrees(denoiser, rows, denoiser.quantum, _evaluated)


def rows_of_all_kinds(denoiser: NetworkDenoiser, rows: int) -> Rows:
    """Return `rows` rows with times all over [0, 1]."""
    device = denoiser.model.device
    key = NoiseKey(*torch.arange(rows, device=device).expand(2, rows))
    config = denoiser.config
    return Rows(
        normal(key, Stream.START, 0, config.chw),
        uniform(key, Stream.STEP, 0, ()),
        drawn(config, key),
        rademacher(key, Stream.PROBE, 0, (1, *config.chw)),
    )


def _agrees(denoiser: NetworkDenoiser, rows: int, quantum: int, outputs: Outputs) -> bool:
    largest = rows_of_all_kinds(denoiser, rows)
    expected = list(outputs(denoiser, largest))
    for size in (quantum * times for times in TRIED if quantum * times < rows):
        # Taking the last rows changes their places in the batch too.
        last = torch.arange(rows - size, rows, device=largest.x.device)
        for whole, part in zip(expected, outputs(denoiser, take(largest, last)), strict=True):
            both = min(len(whole), len(part))
            if not torch.equal(whole[len(whole) - both :], part[len(part) - both :]):
                return False
    return True


def _encoded(denoiser: NetworkDenoiser, rows: Rows) -> Iterator[Tensor]:
    """Yield what runs once for each row."""
    condition = denoiser.condition(rows.latent)
    yield denoiser.encode(rows.x.clamp(-1, 1))
    yield from condition.schedule
    yield from condition.network_time


def _evaluated(denoiser: NetworkDenoiser, rows: Rows) -> Iterator[Tensor]:
    """Yield what the score network gives for these rows, which are the last ones of each tensor.

    A row with cotangents costs at least two evaluations, so half as many share a call.
    """
    condition = denoiser.condition(rows.latent)
    yield denoiser.evaluate(Query(rows.x, rows.t), condition).eps
    if denoiser.runtime.precision != "float32":
        return
    half = torch.arange(len(rows.x) // 2, len(rows.x), device=rows.x.device)
    (x, t, _, cotangents), condition = take((rows, condition), half)
    answer = denoiser.evaluate(Query(x, t, cotangents), condition)
    yield answer.eps
    assert answer.vjps is not None
    yield answer.vjps
