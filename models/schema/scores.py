"""The likelihood of one image. Torch-free; log-probabilities in nats."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Score:
    """The likelihood of one image, or the reason why there is none.

    `log_px_given_z` is the importance-sampled lower bound on log P(v | z*), None where latents were
    sampled. `log_px_lower_bound` is a lower bound on log P(v) in expectation: `log_px_given_z` less
    log C(n, k), or for sampled latents weighted by prior over proposal. `bits_per_dim` is derived
    from it.

    The three errors are reported apart: the spread over probes, the spread over draws and the ODE's
    own estimate; each is None where it was not estimated. `prior`, `log_det`, `dequantization` and
    `latent` are means over draws of the terms that for one draw add up to `log_px_lower_bound`.
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

    @property
    def ok(self) -> bool:
        """True if there is a likelihood."""
        return self.reason is None
