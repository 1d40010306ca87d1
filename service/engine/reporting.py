"""The progress of a job as an event, with a preview of its images."""

import numpy as np

from service.engine.events import Progress
from service.engine.ids import jobs_of
from service.engine.lane import AnyLane
from service.engine.running import RunningJob
from service.jobs import Tokens

# The least change of a job's progress that makes an event.
PROGRESS_STEP = 0.01
# The number of images that a preview shows.
PREVIEWED = 16


def progress_of(
    running: RunningJob, number: int, share: float, lane: AnyLane | None, vocabulary: int
) -> Progress | None:
    """Return the event that is due of job `number`, of whose present rows' evaluations the `share`
    is made; None before its progress has changed enough. The job remembers the event."""
    fraction = running.progress(share)
    if fraction < running.reported + PROGRESS_STEP:
        return None
    running.reported = fraction
    watched = lane if running.watched else None
    preview = None if watched is None else _preview(running, number, watched)
    return Progress(running.job.id, fraction, preview, vocabulary)


def _preview(running: RunningJob, number: int, lane: AnyLane) -> Tokens | None:
    """Draw the first images of a job that are still running, as they are now."""
    ids = lane.ids[jobs_of(lane.ids) == number][:PREVIEWED]
    if not len(ids):
        return None
    return running.solved.preview(len(ids), *lane.rows(np.asarray(ids)))
