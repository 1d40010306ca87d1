"""Jobs and what becomes of them: frozen, torch-free, what the store carries."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from models.anomaly.calibration import Calibration
from models.anomaly.readings import Reading
from models.schema.scores import Score
from models.schema.specs import Adams, FlowPath, SamplerSpec
from service.errors import ServiceError

Tokens = NDArray[np.uint8]
JobKind = Literal["samples", "likelihoods", "anomalies"]
JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled", "timed-out"]
UNFINISHED: frozenset[JobStatus] = frozenset(("queued", "running"))


@dataclass(frozen=True, slots=True)
class SampleTask:
    """Draw `count` images; image i depends on (checkpoint, solver, seed, i) alone."""

    solver: SamplerSpec
    seed: int
    count: int
    latent: tuple[int, ...] | None = None

    kind: ClassVar[JobKind] = "samples"


@dataclass(frozen=True, slots=True)
class ScoreTask:
    """Score images, tokens `[N, H, W, C]`, with `draws` dequantizations each."""

    solver: Adams
    seed: int
    draws: int
    images: Tokens

    kind: ClassVar[JobKind] = "likelihoods"


@dataclass(frozen=True, slots=True)
class AnomalyTask:
    """Judge images, tokens `[N, H, W, C]`, by a calibration that the job carries: whatever becomes
    of the checkpoint's own, the verdict is of the one that the images were solved for."""

    calibration: Calibration
    seed: int
    alpha: float
    heatmap: bool
    images: Tokens

    kind: ClassVar[JobKind] = "anomalies"

    @property
    def solver(self) -> FlowPath:
        """The calibration's."""
        return self.calibration.solver


Task = SampleTask | ScoreTask | AnomalyTask


@dataclass(frozen=True, slots=True)
class Job:
    """One request, resolved: `checkpoint` is a SHA-256, `deadline` seconds since the epoch, `cost`
    the row-evaluations that it is predicted. `request_id` and `trace` (a W3C traceparent) say where
    it comes from, to logs and traces alone."""

    id: str
    checkpoint: str
    task: Task
    deadline: float
    created_at: float
    owner: str = ""
    priority: int = 0
    model: str = ""
    cost: int = 1
    request_id: str = ""
    trace: str = ""


@dataclass(frozen=True, slots=True)
class SampleResult:
    """Tokens `[count, H, W, C]` and, for each image, evaluations, acceptance rate (None where the
    method has none) and the indices of its latent's ones."""

    images: Tokens
    nfe: tuple[int, ...]
    acceptance_rate: tuple[float | None, ...]
    latents: tuple[tuple[int, ...], ...]
    execution: str


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """One score an image, in the order of the request."""

    scores: tuple[Score, ...]
    execution: str


@dataclass(frozen=True, slots=True)
class AnomalyResult:
    """One reading an image, in the order of the request; contributions only where a heatmap is
    wanted. The calibration makes verdicts of them."""

    readings: tuple[Reading, ...]
    execution: str


Result = SampleResult | ScoreResult | AnomalyResult
Outcome = Result | ServiceError
