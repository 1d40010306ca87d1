"""The page, the CSV and the drawings of a comparison."""

import csv
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from loadtests.peers.core import Choice
from loadtests.peers.lines import CONTINUOUS, SERVERS, code_lines, users_lines
from loadtests.peers.measures import Agreement, Cell
from loadtests.peers.plots import goodputs, latencies
from loadtests.peers.report import page, write_csv
from loadtests.peers.runner import Found
from loadtests.peers.scenarios import EQUAL, FULL, SATURATED

CELL = Cell(
    *("equal", 0.4, "ours", 120, 118, 0.5, 1.25, math.inf),
    *(0.97, 400.0, 410.0, 0.61, None, 12.5, 300.0, 2.0),
)
CELLS = [
    CELL,
    replace(CELL, server="mosec", p99=2.5, long_end_s=31.0),
    replace(CELL, scenario="saturated", load=1.0),
]
SCENARIOS = (EQUAL, SATURATED)


def test_the_page_has_every_cell() -> None:
    plan = FULL._replace(scenarios=SCENARIOS)
    found = Found(bare=[700.0, 710.0, 650.0], idle={"mosec": 0.5}, alone_ms=5.25)
    agreement = {"mosec": Agreement(images=20, same_images=19)}
    text = page("python -m loadtests.peers", Choice(), plan, found, CELLS, agreement)
    rows = [line for line in text.splitlines() if line.startswith("| ours |")]
    numbers = "| ours | 118 of 120 | 0.50 | 1.25 | not answered | 97% | 400 | 410 |"
    assert rows == [f"{numbers}  |  | 12.5 |", f"{numbers} 0.61 |  | 12.5 |", "| ours | 300 |  |"]
    assert "| mosec | 20 | 19 | 0 | 0 |" in text
    assert "| mosec | 300 | 0.50 |" in text
    assert "## One image, 20 evaluations, load 0.4" in text
    assert "## One image, all requests at once\n" in text
    assert "load 0.8" not in text
    assert "5.2 ms of a request's processor time" in text
    assert "700 row-evaluations/s at the start" in text
    assert "700 in the median of 3 measurements over the run, from 650 to 710" in text


def test_the_csv_has_every_number(tmp_path: Path) -> None:
    write_csv(CELLS, tmp_path / "cells.csv")
    with (tmp_path / "cells.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["server"] for row in rows] == ["ours", "mosec", "ours"]
    assert (rows[0]["p95"], rows[0]["p99"], rows[0]["long_end_s"]) == ("1.25", "inf", "")
    assert float(rows[1]["long_end_s"]) == 31.0


@pytest.mark.parametrize("draw", [latencies, goodputs])
def test_drawings_have_a_panel_for_each_cell(tmp_path: Path, draw: Callable[..., None]) -> None:
    one, four = tmp_path / "one.png", tmp_path / "four.png"
    draw(CELLS, SCENARIOS, one)
    more = [replace(CELL, load=load) for load in EQUAL.loads]
    draw([*CELLS, *more[1:]], SCENARIOS, four)
    with Image.open(one) as small, Image.open(four) as large:
        assert large.height > small.height


def test_lines_of_code_are_neither_documents_nor_comments() -> None:
    source = (
        '"""A module.\n\nOf a kind."""\n\nimport os\n\n\n# Why.\n'
        'def f():\n    """Do."""\n    return (\n        1\n    )\n'
    )
    assert code_lines(source) == 5


def test_the_continuous_loop_is_short() -> None:
    own, shared = users_lines()
    assert own == sum(code_lines((SERVERS / name).read_text()) for name in CONTINUOUS)
    assert 60 < own < 150
    assert shared < own
