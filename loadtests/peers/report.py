"""The report of a run: a CSV of all cells, a table of them, and what else was found."""

import csv
import dataclasses
import io
import math
import tokenize
from collections.abc import Sequence
from pathlib import Path

from loadtests.peers.measures import Agreement, Cell
from loadtests.peers.traffic import Scenario

SERVERS = Path(__file__).with_name("servers")
# What a user writes for the continuous loop: the loop itself, and what LitServe asks for.
CONTINUOUS = ("continuous.py", "litserve_continuous.py")
# What every peer needs besides: requests as rows, and rows as answers.
SHARED = ("solving.py",)
HEADER = (
    "| server | answered | p50, s | p95, s | p99, s | in time | goodput | throughput "
    "| of bare loop | long jobs end, s | processor, ms a request |"
)


def write_csv(cells: Sequence[Cell], path: Path) -> None:
    """Write one line for each cell."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([column.name for column in dataclasses.fields(Cell)])
        writer.writerows([_plain(value) for value in dataclasses.astuple(cell)] for cell in cells)


def tables(cells: Sequence[Cell], scenarios: Sequence[Scenario]) -> str:
    """Return a table in Markdown for each scenario and load."""
    lines: list[str] = []
    for scenario in scenarios:
        for load in scenario.loads:
            here = [cell for cell in cells if (cell.scenario, cell.load) == (scenario.name, load)]
            if here:
                lines += [f"### {_heading(scenario, load)}", "", HEADER]
                lines += ["|---" * HEADER.count("| ") + "|", *map(_row, here), ""]
    return "\n".join(lines)


def agreement_table(agreements: dict[str, Agreement]) -> str:
    """Return how many answers of each server were those of the reference."""
    lines = ["| server | pictures compared | equal | scores compared | equal |"]
    lines.append("|---" * 5 + "|")
    for name, one in agreements.items():
        cells = (name, one.images, one.same_images, one.scores, one.same_scores)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def code_lines(path: Path) -> int:
    """Return the number of a module's lines that hold code, without docstrings and comments."""
    source = path.read_bytes()
    skipped = {
        tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
        tokenize.ENCODING, tokenize.ENDMARKER,
    }  # fmt: skip
    lines: set[int] = set()
    fresh = True
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        if token.type not in skipped and not (fresh and token.type == tokenize.STRING):
            lines.update(range(token.start[0], token.end[0] + 1))
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            fresh = token.type in skipped
    return len(lines)


def users_lines() -> tuple[int, int]:
    """Return the lines of code that a user writes for the continuous loop, and those that every
    peer needs for requests and answers."""
    own, shared = (
        sum(code_lines(SERVERS / name) for name in names) for names in (CONTINUOUS, SHARED)
    )
    return own, shared


def _heading(scenario: Scenario, load: float) -> str:
    if scenario.arrivals == "at once" or scenario.name == "free":
        return scenario.title.capitalize()
    return f"{scenario.title.capitalize()}, load {load}"


def _row(cell: Cell) -> str:
    long = "" if cell.long_end_s is None else _seconds(cell.long_end_s)
    values = (
        *(cell.server, f"{cell.answered}/{cell.requests}"),
        *(_seconds(cell.p50), _seconds(cell.p95), _seconds(cell.p99)),
        *(f"{cell.attainment:.0%}", f"{cell.goodput:.0f}", f"{cell.throughput:.0f}"),
        *(f"{cell.of_bare:.2f}", long, f"{cell.spent_ms:.1f}"),
    )
    return f"| {' | '.join(values)} |"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f}" if math.isfinite(seconds) else "none"


def _plain(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value
