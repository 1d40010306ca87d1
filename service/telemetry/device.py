"""Metrics of the device that networks run on."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from service.telemetry.registry import PREFIX


class DeviceMemory(NamedTuple):
    """The memory of one device, in bytes: what tensors occupy, and what is reserved for them."""

    device: str
    allocated: int
    reserved: int


class DeviceMetrics(Collector):
    """Metrics that are read at every scrape. `read` returns the memory of each device, and nothing
    for the CPU."""

    def __init__(
        self, registry: CollectorRegistry, read: Callable[[], Iterable[DeviceMemory]]
    ) -> None:
        self._read = read
        registry.register(self)

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return the family without its samples, and without asking the device."""
        yield GaugeMetricFamily(
            f"{PREFIX}_device_memory_bytes",
            "Memory of the device that tensors occupy, and that is reserved for them.",
            labels=("device", "state"),
        )

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the memory as it is now."""
        for family in self.describe():
            for memory in self._read():
                family.add_metric((memory.device, "allocated"), memory.allocated)
                family.add_metric((memory.device, "reserved"), memory.reserved)
            yield family
