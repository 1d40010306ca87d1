"""The likelihood of one image. Torch-free; log-probabilities in nats."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import Field

Found = TypeVar("Found")
# Left out of the bytes of scores without it, which older APIs read strictly.
_ByClass = Annotated[tuple[float, ...] | None, Field(exclude_if=lambda bounds: bounds is None)]


@dataclass(frozen=True, slots=True)
class Score:
    """The likelihood of one image, or the reason why there is none.

    `log_px_given_z` is the importance-sampled lower bound on log P(v | z*), None where latents were
    sampled. `log_px_lower_bound` is a lower bound on log P(v) in expectation: `log_px_given_z` less
    log C(n, k), or for sampled latents weighted by prior over proposal. `bits_per_dim` is derived
    from it.

    The three errors are reported apart: that of the probes, with the degrees of freedom of its
    estimate, the spread over draws and the ODE's own estimate; each is None where it was not
    estimated. `total_standard_error` is all of them together: an interval of 95 % reaches 1.96
    times as far. `prior`, `log_det`, `dequantization` and `latent` are means over draws of the
    terms that for one draw add up to `log_px_lower_bound`. Each of the `draws` was solved `solves`
    times, with other probes; `precise` says whether the total error is what was asked for, None
    where nothing was.

    Of a class that was named, both log-probabilities are those of its images, P(v | c). Where none
    was, `log_px_lower_bound` bounds the mean over classes, and `log_px_given_class` has the bound
    of each.
    """

    nfe: int
    log_px_given_z: float | None = None
    log_px_lower_bound: float | None = None
    bits_per_dim: float | None = None
    trace_standard_error: float | None = None
    draw_standard_error: float | None = None
    ode_error_estimate: float | None = None
    prior: float | None = None
    log_det: float | None = None
    dequantization: float | None = None
    latent: float | None = None
    reason: str | None = None
    trace_degrees_of_freedom: float | None = None
    total_standard_error: float | None = None
    draws: int | None = None
    solves: int | None = None
    precise: bool | None = None
    log_px_given_class: _ByClass = None

    @property
    def ok(self) -> bool:
        """True if there is a likelihood."""
        return self.reason is None


def joint(scores: Sequence[Score], dimensions: int) -> Score:
    """Return the likelihood of several images of `dimensions` values, taken as independent.

    Log-probabilities are sums. The standard errors of images are independent, since their noise is
    keyed by their content. If one failed, all of them have no likelihood.
    """
    nfe = sum(score.nfe for score in scores)
    for score in scores:
        if score.reason is not None:
            return Score(nfe, reason=score.reason)
    bound = _over(scores, "log_px_lower_bound", math.fsum)
    return Score(
        nfe,
        log_px_given_z=_over(scores, "log_px_given_z", math.fsum),
        log_px_lower_bound=bound,
        bits_per_dim=None if bound is None else -bound / (len(scores) * dimensions * math.log(2)),
        trace_standard_error=_over(scores, "trace_standard_error", _norm),
        trace_degrees_of_freedom=_joint_freedom(scores),
        draw_standard_error=_over(scores, "draw_standard_error", _norm),
        ode_error_estimate=_over(scores, "ode_error_estimate", math.fsum),
        total_standard_error=_over(scores, "total_standard_error", _norm),
        draws=_over(scores, "draws", max),
        solves=_over(scores, "solves", max),
        precise=_over(scores, "precise", all),
        prior=_over(scores, "prior", math.fsum),
        log_det=_over(scores, "log_det", math.fsum),
        dequantization=_over(scores, "dequantization", math.fsum),
        latent=_over(scores, "latent", math.fsum),
    )


def _joint_freedom(scores: Sequence[Score]) -> float | None:
    """Return the degrees of freedom of the joint trace error, by Satterthwaite's formula; the least
    of the scores' own where none errs, and None where one has none."""
    found = []
    for score in scores:
        if score.trace_standard_error is None or score.trace_degrees_of_freedom is None:
            return None
        found.append((score.trace_standard_error**2, score.trace_degrees_of_freedom))
    spread = math.fsum(variance**2 / freedom for variance, freedom in found)
    if not spread:
        return min(freedom for _, freedom in found)
    return math.fsum(variance for variance, _ in found) ** 2 / spread


def _norm(values: Sequence[float]) -> float:
    return math.hypot(*values)


def _over(
    scores: Sequence[Score], name: str, combine: Callable[[Sequence[Any]], Found]
) -> Found | None:
    """Combine one field of all scores; None where one of them has none."""
    values = [getattr(score, name) for score in scores]
    return None if any(value is None for value in values) else combine(values)
