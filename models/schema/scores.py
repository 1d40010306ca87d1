"""What scoring one image comes to. Torch-free; log-probabilities in nats."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Score:
    """Likelihood of one image, or the reason why there is none.

    `log_px_given_z` is the importance-sampled bound on log P(v | z*), None where latents were
    sampled; `log_px_lower_bound` is that less log C(n, k), or weighed by prior over proposal: a
    bound on log P(v) in expectation; `bits_per_dim` follows from it. The
    three errors are apart: the spread over probes, the spread over draws, the ODE's own estimate;
    None where not estimated. `prior`, `log_det`, `dequantization` and `latent` are the mean over
    draws of the terms that add up, for one draw, to `log_px_lower_bound`.
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
        """Whether there is a likelihood."""
        return self.reason is None
