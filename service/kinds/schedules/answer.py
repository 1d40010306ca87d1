"""Schedules as an answer: curves and coefficients as JSON, or gamma itself as one array."""

import base64
import io

import numpy as np
from numpy.lib import format as npy

from service.contracts.photographs import applied
from service.kind import Binary, Finished
from service.kinds.schedules.contract import LatentSchedule, ScheduleResponse
from service.kinds.schedules.curves import Numbers, curves, gamma
from service.kinds.schedules.task import ScheduleResult, ScheduleTask

FinishedSchedules = Finished[ScheduleTask, ScheduleResult]
# Far below what a float32 coefficient resolves, and shorter to send than a float64.
DECIMALS = 6


def answer(finished: FinishedSchedules) -> ScheduleResponse:
    """The answer as JSON."""
    job, result, config = finished.job, finished.result, finished.model.config
    times = _times(finished)
    schedules = []
    for index, latent in enumerate(result.latents):
        coefficients = result.coefficients[index]
        found = curves(coefficients, times, config.gamma_min)
        schedules.append(
            LatentSchedule(
                index=index,
                latent=latent,
                coefficients=base64.b64encode(coefficients.astype("<f4").tobytes()).decode(),
                **{name: tuple(_rounded(curve)) for name, curve in found._asdict().items()},
            )
        )
    return ScheduleResponse(
        id=job.id,
        model=job.model,
        checkpoint=job.checkpoint,
        execution=result.execution,
        gamma_min=config.gamma_min,
        gamma_max=config.gamma_max,
        image_shape=config.image_shape,
        times=tuple(times.tolist()),
        schedules=tuple(schedules),
        applied=applied(job.task.tiling),
        timing=finished.timing,
    )


def array(finished: FinishedSchedules) -> bytes:
    """Gamma of all schedules as one .npy."""
    times, low = _times(finished), finished.model.config.gamma_min
    values = [gamma(one, times, low).astype(np.float32) for one in finished.result.coefficients]
    file = io.BytesIO()
    npy.write_array(file, np.stack(values), allow_pickle=False)
    return file.getvalue()


def _times(finished: FinishedSchedules) -> Numbers:
    return np.linspace(0, 1, finished.job.task.solver.points)


def _rounded(curve: Numbers) -> list[float]:
    found: list[float] = curve.round(DECIMALS).tolist()
    return found


BINARIES = {
    "application/x-npy": Binary(
        array, "Gamma in every pixel, `[schedules, points, H, W, C]`, float32."
    ),
}
