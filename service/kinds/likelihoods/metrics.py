"""Metrics of scores."""

import math
from collections.abc import Iterator, Sequence
from math import isfinite

from models.schema.scores import Score, joint
from service.kind import Measurement, Metric
from service.kinds.likelihoods.task import ScoreResult, ScoreTask

BITS = Metric(
    "bits_per_dim",
    "Bits per dimension of the images that were scored.",
    buckets=(*(half / 2 for half in range(1, 17)), 10.0, 12.0, 16.0),
)
METRICS = (BITS,)


def measure(task: ScoreTask, result: ScoreResult) -> Iterator[Measurement]:
    """The bits per dimension of each image or photograph that has a finite number of them."""
    scores: Sequence[Score] = result.scores
    if task.tiling is not None:
        dimensions = math.prod(task.images.shape[1:])
        scores = [joint(result.scores[part], dimensions) for part in task.tiling.slices()]
    for score in scores:
        bits = score.bits_per_dim
        # NaN would make the histogram's sum NaN for ever.
        if score.ok and bits is not None and isfinite(bits):
            yield Measurement(BITS, bits)
