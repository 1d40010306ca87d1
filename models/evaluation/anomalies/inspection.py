"""The evaluation of verdicts on photographs of good and of defective parts, beside baselines."""

from pydantic import Field

from models.anomaly.pictures import AGGREGATES, Aggregate
from models.anomaly.power import Power
from models.evaluation.anomalies.bootstrap import Resamples, Scores
from models.evaluation.anomalies.collection import Collection
from models.evaluation.anomalies.detectors import Found, aggregated
from models.evaluation.anomalies.promise import Promise, check_promise, promise_table
from models.evaluation.anomalies.roc import Interval
from models.evaluation.measurement import EvaluationRecord
from models.preprocessing.tiles import Tiling

VERDICTS = "verdicts"


class OfAggregate(EvaluationRecord):
    """The separation of pictures where the scores of tiles become one in a certain way."""

    pictures: Interval = Field(description="AUROC of pictures.")
    promise: Promise


class Inspection(EvaluationRecord):
    """The figures of a checkpoint's verdicts on photographs, and of each baseline, by name."""

    checkpoint: str
    evaluations: int
    aggregate: Aggregate = Field(
        description="The calibration's; of baselines the largest score counts."
    )
    tiles: int
    aggregates: dict[Aggregate, OfAggregate] = Field(
        description="The verdicts by each aggregate; of pictures of one tile by the own one alone."
    )
    learned: Interval | None = Field(
        description="AUROC of pictures by an aggregate that is learned from these very pictures, "
        "by cross-validation; None for pictures of one tile."
    )
    found: dict[str, Found]
    power: Power | None


def by_aggregates(
    calibration: tuple[Scores, Tiling],
    judged: tuple[Scores, Collection],
    own: Aggregate,
    divisions: int,
    resamples: Resamples,
    seed: int,
) -> dict[Aggregate, OfAggregate]:
    """Compare the aggregates, by the scores of the tiles of calibration and of judged pictures."""
    collection = judged[1]
    several = len(collection.tiles) > len(collection.tiling.sizes)
    found = {}
    for name in AGGREGATES if several else (own,):
        reference = aggregated(*calibration, name)
        scores = aggregated(judged[0], collection.tiling, name)
        good, defective = scores[: collection.good], scores[collection.good :]
        found[name] = OfAggregate(
            pictures=resamples.auroc(scores),
            promise=check_promise(reference, good, defective, divisions, seed),
        )
    return found


def inspection_table(found: Inspection) -> str:
    """Return the figures in Markdown."""
    promise = found.aggregates[found.aggregate].promise
    lines = [promise_table(promise)]
    if len(found.aggregates) > 1:
        shares = " | ".join(f"found at {row.alpha}" for row in promise.rows)
        lines += ["", f"| aggregate | AUROC of pictures | {shares} |", "|---|---|---|---|---|"]
        for name, one in found.aggregates.items():
            shares = " | ".join(f"{row.defective_again.mean:.3f}" for row in one.promise.rows)
            own = ", the calibration's" if name == found.aggregate else ""
            lines.append(f"| {name}{own} | {one.pictures} | {shares} |")
        lines.append(f"| learned from these pictures | {found.learned} | | | |")
    lines += [
        "",
        f"{found.tiles} tiles, {found.evaluations} evaluations each",
        "",
        "| detector | AUROC of tiles | AUROC of pictures | AU-PRO |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {one.tiles or 'none'} | {one.pictures} | {one.overlap or 'none'} |"
        for name, one in found.found.items()
    ]
    if found.power is not None:
        lines += ["", f"Power check: {found.power.summary}."]
    return "\n".join(lines)
