"""`mulan models evaluate mog`: every sampler on mixtures of Gaussians, with exact scores."""

from pathlib import Path

import click

from models.cli.compute import threads
from models.cli.options import as_json, emit, one_line_errors
from models.evaluation.mixtures.plots import curves, slices
from models.evaluation.mixtures.report import Findings, summary, write_csv
from models.evaluation.mixtures.study import BUDGETS, TARGETS, Point, RareWeight, Study

# Samplers can be told apart here by eye; later most look right.
LOOK_AT = 30


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("docs/mixtures"),
    show_default=True,
    help="Folder for the table and the pictures.",
)
@click.option("--seeds", type=click.IntRange(2), default=5, show_default=True, help="How many.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    type=click.Choice([target.name for target in TARGETS]),
    help="Only this mixture; may be repeated.",
)
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    type=click.IntRange(4, 1000),
    help=f"Network evaluations; may be repeated. Else {', '.join(map(str, BUDGETS))}.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="How many to divide the arms among; the results are the same.",
)
@threads
@as_json
@one_line_errors
def mog(
    out: Path,
    seeds: int,
    targets: tuple[str, ...],
    budgets: tuple[int, ...],
    processes: int,
    as_json: bool,
) -> None:
    """Every sampler on mixtures of Gaussians whose score is exact: a table and pictures."""
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
    emit(found.model_dump(mode="json"), summary(found), as_json)
