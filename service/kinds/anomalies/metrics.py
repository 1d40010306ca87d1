"""Metrics of verdicts."""

from collections.abc import Collection, Iterator, Sequence

from models.anomaly.pictures import PictureVerdict, judge_pictures
from models.anomaly.ranked import Verdict
from service.kind import Measurement, Metric
from service.kinds.anomalies.drift import Drift
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask
from service.setting_values import NO_SOURCE, OTHER_SOURCE

P_VALUE = Metric(
    "anomaly_p_value",
    "P-values of the images that were judged, which are uniform where the images are like the "
    "calibration's.",
    labels=("source",),
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0),
)
VERDICTS = Metric(
    "anomaly_verdicts_total",
    "Images judged: normal, abnormal at their request's alpha, or failed.",
    labels=("source", "verdict"),
)
MARTINGALE = Metric(
    "anomaly_martingale_log10",
    "Log10 of the martingale that bets against images being like the calibration's, 0 at first.",
    labels=("source",),
    gauge=True,
)
HIGHEST = Metric(
    "anomaly_martingale_log10_max",
    "The highest value of that since the test began; 2 or more by chance in 1 % of tests at most.",
    labels=("source",),
    gauge=True,
)
SHIFT = Metric(
    "anomaly_statistic_shift",
    "Mean of a statistic over the latest 200 images or so, in standard deviations of the "
    "calibration from its mean.",
    labels=("source", "statistic"),
    gauge=True,
)
METRICS = (P_VALUE, VERDICTS, MARTINGALE, HIGHEST, SHIFT)


class Meter:
    """The measures of one process. It remembers a test of drift for each checkpoint and source; one
    begins anew with another calibration."""

    def __init__(self, sources: Collection[str]) -> None:
        self._sources = frozenset(sources)
        self._drifts: dict[tuple[str, str], Drift] = {}

    def __call__(self, task: AnomalyTask, result: AnomalyResult) -> Iterator[Measurement]:
        """Yield the verdict on each image or photograph, its p-value where it was solved, and what
        all images of the source tell. Takes about a few milliseconds an image."""
        source = self._label(task.source)
        drift, *replaced = self._drift(task, source)
        for old in replaced:
            for name in old.statistics.means:
                yield Measurement(SHIFT, 0.0, (source, name))
        for verdict in _verdicts(task, result):
            drift.see(verdict)
            if verdict.reason is not None:
                yield Measurement(VERDICTS, 1, (source, "failed"))
                continue
            flagged = verdict.p_value <= task.alpha
            yield Measurement(VERDICTS, 1, (source, "abnormal" if flagged else "normal"))
            yield Measurement(P_VALUE, verdict.p_value, (source,))
        yield Measurement(MARTINGALE, drift.martingale.log10, (source,))
        yield Measurement(HIGHEST, drift.martingale.log10_max, (source,))
        for name, mean in drift.statistics.means.items():
            yield Measurement(SHIFT, mean, (source, name))

    def _label(self, source: str | None) -> str:
        """Return a source as a label has it: jobs may name any."""
        if source is None:
            return NO_SOURCE
        return source if source in self._sources else OTHER_SOURCE

    def _drift(self, task: AnomalyTask, source: str) -> Sequence[Drift]:
        """Return the test for these images, and the one that it replaces, if any."""
        key = task.calibration.checkpoint, source
        old = self._drifts.get(key)
        if old is not None and old.is_for(task.calibration):
            return (old,)
        self._drifts[key] = new = Drift(task.calibration, source)
        return (new,) if old is None else (new, old)


def _verdicts(task: AnomalyTask, result: AnomalyResult) -> Sequence[Verdict | PictureVerdict]:
    if task.tiling is None:
        return task.calibration.judge(result.readings, task.images)
    return judge_pictures(task.calibration, result.readings, task.images, task.tiling)
