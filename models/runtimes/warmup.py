"""Warm-up of a runtime: its first calls, and the batch size from which bytes stay the same."""

from collections.abc import Iterator

import torch
from torch import Tensor

from models.network.encoder import top_k
from models.network.mulan import Mulan
from models.rows.noise import Stream, normal, rademacher, uniform
from models.rows.rows import NoiseKey, Query, take
from models.runtimes.eager import LEAST_QUANTUM, EagerDenoiser


def warm_up(model: Mulan, rows: int) -> EagerDenoiser:
    """Return a denoiser whose bytes for one row are the same in every call of at most `rows` rows.

    Its quantum is the least of 16, 32, 64 ... that passes the test. A quantum of `rows` or more
    always does, because then all calls have one size.
    """
    be_exact()
    quantum = LEAST_QUANTUM
    while quantum < rows and not agrees(EagerDenoiser(model, quantum), rows):
        quantum *= 2
    denoiser = EagerDenoiser(model, quantum)
    if quantum >= rows:
        for _ in _outputs(denoiser, *_rows_of_all_kinds(denoiser, rows)):
            pass
    return denoiser


def be_exact() -> None:
    """Set torch to full float32 and to kernels that give the same bytes twice."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def agrees(denoiser: EagerDenoiser, rows: int) -> bool:
    """Return True if rows get the same bytes at every multiple of the quantum up to `rows`."""
    largest = _rows_of_all_kinds(denoiser, rows)
    expected = list(_outputs(denoiser, *largest))
    for size in range(denoiser.quantum, rows, denoiser.quantum):
        # Taking the last rows changes their places in the batch too.
        last = torch.arange(rows - size, rows, device=largest[0].device)
        found = _outputs(denoiser, *take(largest, last))
        for whole, part in zip(expected, found, strict=True):
            both = min(len(whole), len(part))
            if not torch.equal(whole[len(whole) - both :], part[len(part) - both :]):
                return False
    return True


def _rows_of_all_kinds(denoiser: EagerDenoiser, rows: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return points, times, latents and cotangents like those of solvers' queries."""
    device = denoiser.model.device
    key = NoiseKey(*torch.arange(rows, device=device).expand(2, rows))
    config = denoiser.config
    latents = uniform(key, Stream.LATENT, 0, (config.latent_size,))
    return (
        normal(key, Stream.START, 0, config.chw),
        uniform(key, Stream.STEP, 0, ()),
        top_k(latents, config.latent_k).float(),
        rademacher(key, Stream.PROBE, 0, (1, *config.chw)),
    )


def _outputs(
    denoiser: EagerDenoiser, x: Tensor, t: Tensor, latent: Tensor, cotangents: Tensor
) -> Iterator[Tensor]:
    """Yield all outputs of the networks for these rows, which are the last ones of each tensor.

    A row with cotangents costs at least two evaluations, so half as many share a call.
    """
    condition = denoiser.condition(latent)
    yield denoiser.encode(x.clamp(-1, 1))
    yield from condition.schedule
    yield from condition.network_time
    yield denoiser.evaluate(Query(x, t), condition).eps
    half = torch.arange(len(x) // 2, len(x), device=x.device)
    query, condition = take((Query(x, t, cotangents), condition), half)
    answer = denoiser.evaluate(query, condition)
    yield answer.eps
    assert answer.vjps is not None
    yield answer.vjps
