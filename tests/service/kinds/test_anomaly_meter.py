"""The metrics of verdicts that remember: tests of drift, and statistics that moved."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from small_calibration import small_calibration, small_levels
from small_engine import CHECKPOINT, CONFIG, images, job

from models.anomaly.kept import AnyCalibration
from models.anomaly.readings import Reading
from models.anomaly.statistics import FITTED
from service.kinds.anomalies import drift
from service.kinds.anomalies.metrics import HIGHEST, MARTINGALE, SHIFT, Meter
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask
from service.telemetry.jobs import JobMetrics

CALIBRATION = small_calibration(CHECKPOINT, CONFIG)


def task(count: int, calibration: AnyCalibration = CALIBRATION, **more: Any) -> AnomalyTask:
    return AnomalyTask(calibration, 0, 0.1, False, images(count), **more)


def result(count: int, strangeness: float) -> AnomalyResult:
    reading = Reading(39, dict.fromkeys(FITTED[:-2], strangeness))
    return AnomalyResult((reading,) * count, "cpu/test")


class Watched:
    """A worker's metrics of verdicts."""

    def __init__(self, *sources: str) -> None:
        self.registry = CollectorRegistry()
        self._metrics = JobMetrics(self.registry, {CHECKPOINT: "small"}, sources)

    def judge(self, count: int, strangeness: float, **more: Any) -> None:
        one = job("a", task(count, **more))
        self._metrics.result_stored(one, result(count, strangeness))

    def value(self, name: str, source: str = "none", **labels: str) -> float | None:
        labels = {"model": "small", "source": source, **labels}
        return self.registry.get_sample_value(f"mulan_anomaly_{name}", labels)


def test_strange_images_are_seen_and_which_statistic_moved() -> None:
    watched = Watched()
    watched.judge(40, 1e3)
    highest = watched.value("martingale_log10_max")
    assert highest is not None
    assert highest >= 2
    assert watched.value("martingale_log10") == highest
    assert watched.value("statistic_shift", statistic="log_prior") == 5
    # 1,000 is a size, whose logarithm is seven standard deviations up.
    assert watched.value("statistic_shift", statistic="normality") == 5
    assert watched.value("statistic_shift", statistic="typicality") is None


def test_sources_are_tested_apart() -> None:
    watched = Watched("left", "right")
    watched.judge(40, 1e3, source="left")
    watched.judge(40, 0.1, source="right")
    watched.judge(1, 0.1)
    watched.judge(1, 0.1, source="unknown")
    assert watched.value("martingale_log10_max", "left") == pytest.approx(3.5, abs=1.5)
    for source in ("right", "none", "other"):
        assert watched.value("statistic_shift", source, statistic="log_prior") == pytest.approx(0.1)
    assert watched.value("martingale_log10", "other") == pytest.approx(0)
    assert watched.value("verdicts_total", "other", verdict="abnormal") == 1
    assert watched.value("verdicts_total", "unknown", verdict="abnormal") is None


def test_it_begins_anew_with_another_calibration() -> None:
    watched = Watched()
    watched.judge(40, 1e3)
    other = CALIBRATION.model_copy(update={"scores": tuple(map(float, range(50, 90)))})
    watched.judge(1, 1e3, calibration=other)
    assert watched.value("martingale_log10_max") == pytest.approx(0)


def test_statistics_that_another_calibration_does_not_have_are_nought() -> None:
    watched = Watched()
    watched.judge(2, 1e3)
    one = job("a", replace(task(1), calibration=small_levels(CHECKPOINT, CONFIG)))
    levels = np.full((3, 8, 8, 1), 0.5, np.float16)
    reading = Reading(3, {"latent_mass": -1.0}, levels=levels)
    watched._metrics.result_stored(one, AnomalyResult((reading,), "cpu/test"))
    assert watched.value("statistic_shift", statistic="log_prior") == 0
    assert watched.value("statistic_shift", statistic="defect") is not None


def test_it_begins_anew_after_many_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "MOST_IMAGES", 40)
    watched = Watched()
    watched.judge(40, 1e3)
    watched.judge(1, 1e3)
    assert watched.value("martingale_log10_max") == pytest.approx(0)


def test_failed_images_are_strange_and_move_no_statistic() -> None:
    watched = Watched()
    failed = AnomalyResult((Reading(39, reason="it failed"),) * 40, "cpu/test")
    watched._metrics.result_stored(job("a", task(40)), failed)
    highest = watched.value("martingale_log10_max")
    assert highest is not None
    assert highest >= 2
    assert watched.value("statistic_shift", statistic="log_prior") == 0
    assert watched.value("verdicts_total", verdict="failed") == 40


def test_gauges_are_told_once_a_job_and_are_numbers() -> None:
    meter = Meter(())
    found = [one for _ in range(2) for one in meter(task(3), result(3, 0.1))]
    assert len([one for one in found if one.metric is MARTINGALE]) == 2
    assert len([one for one in found if one.metric is HIGHEST]) == 2
    assert len([one for one in found if one.metric is SHIFT]) == 2 * len(FITTED)
    assert all(math.isfinite(one.value) for one in found)
