"""The gate of a runtime: its answers beside those of eager float32, in every quarter of t."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.network.schedule import per_row
from models.rows.latents import drawn
from models.rows.noise import Stream, normal, rademacher, uniform
from models.rows.rows import Condition, NoiseKey, Query
from models.runtimes.denoiser import NetworkDenoiser
from models.schema.errors import UnavailableRuntimeError

# Wrong numbers show in few rows. How much rounding comes to is a matter of more.
QUARTERS, FEW, MORE, PROBES = 4, 2, 4, 2
# Root mean square of the difference over that of eager's answer. Float32 runtimes that are right
# differ by 1e-6 to 1e-5 (docs/performance.md); those that were wrong by 1e-1 and more.
LARGEST = {"float32": 1e-3, "bfloat16": 1e-2}


class Differences(NamedTuple):
    """Relative differences from eager float32 in each quarter of t: of eps, and of the pull-backs
    where the runtime is for likelihoods."""

    eps: list[float]
    vjps: list[float]


def check(found: NetworkDenoiser, eager: NetworkDenoiser) -> Differences:
    """Return how far a runtime is from eager float32.

    Raises UnavailableRuntimeError where that is more than 0.1 % in float32, or 1 % in bfloat16,
    which serves predictions alone, and where the runtime fails.
    """
    pulls = found.runtime.precision == "float32"
    try:
        differences = compare(found, eager, pulls=pulls)
    except Exception as failure:
        raise UnavailableRuntimeError(f"it fails: {failure}") from failure
    limit = LARGEST[found.runtime.precision]
    for what, quarters in differences._asdict().items():
        for quarter, error in enumerate(quarters):
            if not error <= limit:
                raise UnavailableRuntimeError(
                    f"its {what} differ from eager float32 by {error:.1e} of their size in the "
                    f"{_ORDINALS[quarter]} quarter of t; {limit:.0e} is allowed"
                )
    return differences


_ORDINALS = "first", "second", "third", "last"


def compare(found: NetworkDenoiser, eager: NetworkDenoiser, *, pulls: bool) -> Differences:
    """Return the differences on noised random images."""
    query, condition = questions(eager, FEW if pulls else MORE)
    if not pulls:
        query = query._replace(cotangents=None)
    ours, theirs = (denoiser.evaluate(query, condition) for denoiser in (found, eager))
    vjps: list[float] = []
    if pulls:
        assert ours.vjps is not None
        assert theirs.vjps is not None
        vjps = _by_quarter(ours.vjps, theirs.vjps)
        # Solvers that ask for no pull-back call another function of the runtime.
        ours = found.evaluate(query._replace(cotangents=None), condition)
    return Differences(_by_quarter(ours.eps, theirs.eps), vjps)


def questions(denoiser: NetworkDenoiser, rows_a_quarter: int = FEW) -> tuple[Query, Condition]:
    """Return rows whose times are spread over [0, 1], both ends included, quarter after quarter."""
    device, config = denoiser.model.device, denoiser.config
    rows = QUARTERS * rows_a_quarter
    key = NoiseKey(*torch.arange(rows, device=device).expand(2, rows))
    condition = denoiser.condition(drawn(config, key))
    t = torch.linspace(0, 1, rows, device=device, dtype=torch.float64)
    noise = condition.schedule.noise(t)
    # Grey levels that differ from image to image, as smooth regions of pictures have.
    grey = per_row(2 * uniform(key, Stream.START, 1, ()) - 1)
    x = noise.alpha * grey + noise.sigma * normal(key, Stream.START, 0, config.chw)
    return Query(x.float(), t, rademacher(key, Stream.PROBE, 0, (PROBES, *config.chw))), condition


def _by_quarter(found: Tensor, expected: Tensor) -> list[float]:
    return [
        float((ours - theirs).square().mean().sqrt() / theirs.square().mean().sqrt())
        for ours, theirs in zip(found.chunk(QUARTERS), expected.chunk(QUARTERS), strict=True)
    ]
