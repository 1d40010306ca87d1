"""The device that networks run on, and what it took to load them."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from service.telemetry.registry import PREFIX


class Memory(NamedTuple):
    """Bytes of a device that tensors hold, and that were taken for them."""

    device: str
    allocated: int
    reserved: int


class DeviceMetrics(Collector):
    """`read` is asked at every scrape; it tells nothing of the CPU. `load_seconds`: by model."""

    def __init__(
        self,
        registry: CollectorRegistry,
        load_seconds: Mapping[str, float],
        read: Callable[[], Iterable[Memory]],
    ) -> None:
        self._read = read
        loading = Gauge(
            "model_load_seconds",
            "What it took to read the model, verify it and warm it up.",
            ("model",),
            namespace=PREFIX,
            registry=registry,
        )
        for name, seconds in load_seconds.items():
            loading.labels(name).set(seconds)
        registry.register(self)

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """The family, without asking the device."""
        yield GaugeMetricFamily(
            f"{PREFIX}_device_memory_bytes",
            "Memory of the device that tensors hold, and that was taken for them.",
            labels=("device", "state"),
        )

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """As it is now."""
        for family in self.describe():
            for memory in self._read():
                family.add_metric((memory.device, "allocated"), memory.allocated)
                family.add_metric((memory.device, "reserved"), memory.reserved)
            yield family
