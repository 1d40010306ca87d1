"""Counts and times of the requests of each model, since the process began."""

import time
from dataclasses import dataclass, field

from service.api.open_inference import contract
from service.api.open_inference.variants import CURRENT
from service.contracts.base import Timing


@dataclass(slots=True)
class _Spent:
    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one more event."""
        self.count += 1
        self.seconds += seconds

    @property
    def duration(self) -> contract.Duration:
        """The count and the time as the protocol has them."""
        return contract.Duration(count=self.count, ns=round(1e9 * self.seconds))


_NEVER = contract.Duration(count=0, ns=0)


@dataclass(slots=True)
class _Figures:
    images: int = 0
    last_ms: int = 0
    success: _Spent = field(default_factory=_Spent)
    fail: _Spent = field(default_factory=_Spent)
    queue: _Spent = field(default_factory=_Spent)
    compute: _Spent = field(default_factory=_Spent)


class Statistics:
    """The figures of one API process, by the names of models, which are served ones only."""

    def __init__(self) -> None:
        self._models: dict[str, _Figures] = {}

    def succeeded(self, name: str, images: int, seconds: float, timing: Timing) -> None:
        """Count a request that was answered after so many seconds."""
        figures = self._of(name)
        figures.images += images
        figures.success.add(seconds)
        figures.queue.add(timing.queued_s)
        figures.compute.add(timing.running_s)

    def failed(self, name: str, seconds: float) -> None:
        """Count a request that was refused or failed after so many seconds."""
        self._of(name).fail.add(seconds)

    def show(self, name: str) -> contract.ModelStatistics:
        """Return the figures of one model; zeros for one that has not been asked for."""
        figures = self._models.get(name, _Figures())
        return contract.ModelStatistics(
            name=name,
            version=CURRENT,
            last_inference=figures.last_ms,
            inference_count=figures.images,
            execution_count=figures.success.count,
            inference_stats=contract.InferenceStatistics(
                success=figures.success.duration,
                fail=figures.fail.duration,
                queue=figures.queue.duration,
                compute_input=_NEVER,
                compute_infer=figures.compute.duration,
                compute_output=_NEVER,
                cache_hit=_NEVER,
                cache_miss=_NEVER,
            ),
        )

    def _of(self, name: str) -> _Figures:
        figures = self._models.setdefault(name, _Figures())
        figures.last_ms = time.time_ns() // 1_000_000
        return figures
