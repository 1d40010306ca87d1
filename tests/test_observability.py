"""docs/observability.md names every metric that there is, with its labels."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from service.telemetry.api import ApiMetrics
from service.telemetry.device import DeviceMetrics
from service.telemetry.engine import EngineMetrics
from service.telemetry.jobs import JobMetrics
from service.telemetry.models import ModelMetrics
from service.telemetry.registry import PREFIX, new_registry
from service.telemetry.store import StoreMetrics

DOCUMENT = Path(__file__).parents[1] / "docs" / "observability.md"
ROW = re.compile(rf"^\| `({PREFIX}_\w+)` \|([\w, ]*)\| (.+) \|$", re.MULTILINE)


def whole_registry() -> CollectorRegistry:
    """As that of `mulan serve`."""
    registry = new_registry()
    ApiMetrics.within(registry)
    StoreMetrics(registry)
    JobMetrics(registry, {})
    EngineMetrics(registry, {})
    DeviceMetrics(registry, list)
    ModelMetrics(registry, {})
    return registry


def metrics() -> dict[str, set[str]]:
    """Every metric of ours as Prometheus calls it, with its labels; most have no sample yet."""
    registry = whole_registry()
    labels = {
        family.name: set(getattr(collector, "_labelnames", getattr(family, "_labelnames", ())))
        for collector in registry._collector_to_names
        for family in getattr(collector, "describe", collector.collect)()
    }
    found: dict[str, set[str]] = {}
    for family in registry.collect():
        if family.name.startswith(PREFIX):
            suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
            shown = {label for sample in family.samples for label in sample.labels} - {"le"}
            found[family.name + suffix] = labels[family.name] | shown
    return found


def documented() -> dict[str, set[str]]:
    rows = ROW.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert len({name for name, _, _ in rows}) == len(rows), "a metric has two rows"
    return {name: set(labels.replace(",", " ").split()) for name, labels, _ in rows}


def test_every_metric_is_in_the_document() -> None:
    registered = metrics()
    assert len(registered) > 25
    assert documented() == registered


def test_names_have_units_and_no_ids() -> None:
    ids = {"id", "job", "job_id", "request", "request_id", "owner", "key", "seed", "path"}
    for name, labels in metrics().items():
        assert not labels & ids, name
        assert not re.search(r"_(ms|milliseconds|kb|mb|percent)(_|$)", name)
