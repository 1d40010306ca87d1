"""The metrics of an API."""

from dataclasses import dataclass
from typing import Self

from prometheus_client import CollectorRegistry

from service.telemetry.callbacks import CallbackMetrics
from service.telemetry.http import HttpMetrics
from service.telemetry.queue import QueueMetrics
from service.telemetry.registry import new_registry


@dataclass(frozen=True, slots=True)
class ApiMetrics:
    """The metrics that routes, middleware and the process of an API keep, and their registry."""

    registry: CollectorRegistry
    http: HttpMetrics
    queue: QueueMetrics
    callbacks: CallbackMetrics

    @classmethod
    def within(cls, registry: CollectorRegistry) -> Self:
        """Make the metrics in a registry, which may have others."""
        return cls(
            registry, HttpMetrics(registry), QueueMetrics(registry), CallbackMetrics(registry)
        )

    @classmethod
    def alone(cls) -> Self:
        """Make the metrics in a registry of their own."""
        return cls.within(new_registry())
