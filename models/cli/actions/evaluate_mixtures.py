"""`mulan models evaluate mog`: every sampler on mixtures of Gaussians, with exact scores."""

from pathlib import Path

from models.cli.lazy import Outcome
from models.evaluation.defaults import BUDGETS
from models.evaluation.mixtures.plots import curves, slices
from models.evaluation.mixtures.report import Findings, summary, write_csv
from models.evaluation.mixtures.study import TARGETS, Point, RareWeight, Study

# At this many evaluations the samplers still look different; with more, most look right.
LOOK_AT = 30


def mog(
    out: Path, seeds: int, targets: tuple[str, ...], budgets: tuple[int, ...], processes: int
) -> Outcome:
    """Run the study on the mixtures named, and write its table and pictures to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    chosen = [target for target in TARGETS if not targets or target.name in targets]
    points: list[Point] = []
    rare_weights: list[RareWeight] = []
    for target in chosen:
        study = Study(target, seeds, tuple(sorted(set(budgets))) or BUDGETS, processes)
        points += study.run()
        rare_weights += study.rare_weights(points)
        write_csv(points, out / "mog.csv")
    found = Findings(points=tuple(points), rare_weights=tuple(rare_weights))
    curves(found.points, out / "accuracy.png")
    shown = LOOK_AT if LOOK_AT in (budgets or BUDGETS) else max(budgets)
    for target in chosen:
        slices(target, found.points, shown, out / f"slice-{target.slug}.png")
    return Outcome(found.model_dump(mode="json"), summary(found))
