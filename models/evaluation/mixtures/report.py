"""The mixture study as CSV and as Markdown."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from models.evaluation.measurement import EvaluationRecord, Measurement
from models.evaluation.mixtures.arms import DDPM, PAPER, rtk_name
from models.evaluation.mixtures.study import COMPARED, FLOOR, Point, RareWeight, is_tuned

COLUMNS = (
    "target",
    "arm",
    "budget",
    "evaluations",
    "accuracy",
    "accuracy_standard_error",
    "rare_weight_error",
    "rare_weight_standard_error",
    "spec",
)
# The number of standard errors by which a mean may lie below another and still count as no worse.
SLACK = 2.0
# The fewest evaluations at which the paper's setting is compared with ancestral sampling.
PAPER_FROM = 20


class Findings(EvaluationRecord):
    """The results of one run of the study."""

    points: tuple[Point, ...]
    rare_weights: tuple[RareWeight, ...]


def write_csv(points: Iterable[Point], path: Path) -> None:
    """Write one row for each target, arm and budget."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for point in points:
            spec = "" if point.spec is None else point.spec.model_dump_json()
            rows.writerow(
                [
                    point.target,
                    point.arm,
                    point.budget,
                    point.evaluations,
                    *_cells(point.accuracy),
                    *_cells(point.rare_weight),
                    spec,
                ]
            )


def summary(found: Findings) -> str:
    """Return the comparisons as Markdown tables."""
    parts = [
        compared_table(found.points),
        paper_table(found.points),
        rare_table(found.rare_weights),
    ]
    return "\n\n".join(part for part in parts if part)


def compared_table(points: Sequence[Point]) -> str:
    """Compare the better ancestral grid, the ODE sampler and tuned RTK at equal evaluations."""
    simpson = rtk_name("mala, Simpson", "tuned")
    lines = [
        "| target | NFE | exact draws | DDPM, its better grid | dpm-2m | best tuned RTK | which "
        "| tuned Simpson RTK-MALA |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for target, budget in _places(points, COMPARED):
        here = _at(points, target, budget)
        ddpm = best(point for point in here if point.arm in DDPM)
        rtk = best(point for point in here if is_tuned(point.arm))
        cells = [
            target,
            str(budget),
            str(floor(points, target).accuracy),
            str(ddpm.accuracy) + _mark(not no_worse(rtk.accuracy, ddpm.accuracy)),
            str(_named(here, "dpm-2m").accuracy),
            str(rtk.accuracy) + _mark(no_worse(rtk.accuracy, ddpm.accuracy)),
            f"{rtk.arm.split(',')[0]} ({rtk.evaluations})",
            f"{_named(here, simpson).accuracy} ({_named(here, simpson).evaluations})",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def paper_table(points: Sequence[Point]) -> str:
    """Compare, in the paper's setting, ancestral sampling over uniform t with RTK in five
    segments."""
    lines = [
        "| target | NFE | DDPM, uniform t | best RTK, five segments | which |",
        "|---|---|---|---|---|",
    ]
    budgets = sorted({p.budget for p in points if p.budget >= PAPER_FROM})
    for target, budget in _places(points, budgets):
        here = _at(points, target, budget)
        ddpm = _named(here, DDPM[0]).accuracy
        rtk = best(p for p in here if p.arm.endswith(PAPER) and "exact" not in p.arm)
        ahead = rtk.accuracy.mean > ddpm.mean
        lines.append(
            f"| {target} | {budget} | {ddpm}{_mark(not ahead)} | {rtk.accuracy}{_mark(ahead)} "
            f"| {rtk.arm.removesuffix(f', {PAPER}')} ({rtk.evaluations}) |"
        )
    return "\n".join(lines)


def rare_table(rare_weights: Sequence[RareWeight]) -> str:
    """Return the relative error of the rare modes' weight as a table."""
    if not rare_weights:
        return ""
    lines = ["| NFE | arm | draws | relative error of the rare weight |", "|---|---|---|---|"]
    lines += [
        f"| {row.budget} | {row.arm} | {row.draws:,} | {row.error.mean:+.4f} ± "
        f"{row.error.standard_error:.4f} |"
        for row in rare_weights
    ]
    return "\n".join(lines)


def no_worse(rtk: Measurement, ddpm: Measurement) -> bool:
    """Return True if one mean is at least another, within two standard errors of their
    difference."""
    error = math.hypot(rtk.standard_error or 0.0, ddpm.standard_error or 0.0)
    return rtk.mean >= ddpm.mean - SLACK * error


def best(points: Iterable[Point]) -> Point:
    """Return the most accurate point."""
    return max(points, key=lambda point: point.accuracy.mean)


def floor(points: Iterable[Point], target: str) -> Point:
    """Return the point of exact draws, the best that any sampler can reach."""
    return next(point for point in points if point.target == target and point.arm == FLOOR)


def _places(points: Sequence[Point], budgets: Iterable[int]) -> list[tuple[str, int]]:
    targets = dict.fromkeys(point.target for point in points)
    there = {point.budget for point in points}
    return [(target, budget) for target in targets for budget in budgets if budget in there]


def _at(points: Iterable[Point], target: str, budget: int) -> list[Point]:
    return [point for point in points if (point.target, point.budget) == (target, budget)]


def _named(points: Iterable[Point], arm: str) -> Point:
    return next(point for point in points if point.arm == arm)


def _mark(yes: bool) -> str:
    return " ✓" if yes else ""


def _cells(figure: Measurement | None) -> tuple[str, str]:
    if figure is None:
        return "", ""
    error = figure.standard_error
    return f"{figure.mean:.5f}", "" if error is None else f"{error:.5f}"
