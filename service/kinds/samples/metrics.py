"""Metrics of drawn images."""

from collections.abc import Iterator

from service.kind import Measurement, Metric
from service.kinds.samples.task import SampleResult, SampleTask

ACCEPTANCE = Metric(
    "acceptance_rate",
    "Share of an image's proposals that were accepted.",
    labels=("solver",),
    buckets=tuple(tenth / 10 for tenth in range(1, 11)),
)
METRICS = (ACCEPTANCE,)


def measure(task: SampleTask, result: SampleResult) -> Iterator[Measurement]:
    """The acceptance rate of each image whose method proposes."""
    for rate in result.acceptance_rate:
        if rate is not None:
            yield Measurement(ACCEPTANCE, rate, (task.solver.name,))
