"""Jobs and outcomes of verdicts by levels as bytes."""

import numpy as np
from small_calibration import small_calibration, small_levels
from small_engine import CHECKPOINT, CONFIG, images, job

from models.anomaly.readings import Reading
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask
from service.store.wire import decode_job, decode_outcome, encode_job, encode_outcome

CALIBRATION = small_levels(CHECKPOINT, CONFIG)


def test_a_job_carries_its_calibration() -> None:
    sent = job("a", AnomalyTask(CALIBRATION, 7, 0.05, "raw", images(2)))
    task = decode_job(encode_job(sent)).task
    assert isinstance(task, AnomalyTask)
    assert task.calibration == CALIBRATION
    assert task.heatmap == "raw"


def test_levels_come_back_as_they_were() -> None:
    levels = np.random.default_rng(0).standard_normal((3, 8, 8, 1)).astype(np.float16)
    readings = (Reading(3, {"latent_mass": -1.0}, levels=levels), Reading(3, reason="too wild"))
    result = decode_outcome(encode_outcome(AnomalyResult(readings, "cpu")))
    assert isinstance(result, AnomalyResult)
    first, second = result.readings
    assert first.levels is not None
    assert first.levels.dtype == np.float16
    np.testing.assert_array_equal(first.levels, levels)
    assert second == readings[1]


def test_readings_by_the_path_have_the_bytes_that_older_apis_read() -> None:
    by_path = AnomalyResult((Reading(39, {"log_prior": 1.0}),), "cpu")
    assert b"levels" not in encode_outcome(by_path)
    by_path_job = AnomalyTask(small_calibration(CHECKPOINT, CONFIG), 7, 0.05, True, images(1))
    assert b"levels" not in encode_job(job("b", by_path_job))
