"""The metrics of an API, in its process's registry."""

from dataclasses import dataclass
from typing import Self

from prometheus_client import CollectorRegistry

from service.telemetry.http import HttpMetrics
from service.telemetry.queue import QueueMetrics
from service.telemetry.registry import new_registry


@dataclass(frozen=True, slots=True)
class ApiMetrics:
    """What routes and the middleware tell of."""

    registry: CollectorRegistry
    http: HttpMetrics
    queue: QueueMetrics

    @classmethod
    def within(cls, registry: CollectorRegistry) -> Self:
        """In a registry that may be another part's too."""
        return cls(registry, HttpMetrics(registry), QueueMetrics(registry))

    @classmethod
    def alone(cls) -> Self:
        """In a registry of its own."""
        return cls.within(new_registry())
