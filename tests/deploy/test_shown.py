"""Every metric in the code is on a board, in a rule, or listed as there to debug with."""

import re

import pytest
from rulebook import rules, series_of
from test_observability import DOCUMENT, whole_registry

from loadtests.panels import read_boards

ASKED = [
    query for panels in read_boards("1m").values() for panel in panels for query, _ in panel.queries
]
ASKED += [rule["expr"] for rule in rules()]


FAMILIES = {family.name: family.type for family in whole_registry().collect()}


def asked_for() -> set[str]:
    return set(re.findall(r"\b(?:mulan|process)_\w+", " ".join(ASKED)))


def to_debug_with() -> set[str]:
    _, _, section = DOCUMENT.read_text().partition("\n## For debugging\n")
    return set(re.findall(r"`((?:mulan|process)_\w+)", section.partition("\n## ")[0]))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_metric_is_shown_or_listed_to_debug_with(family: str) -> None:
    assert series_of(family, FAMILIES[family]) & (asked_for() | to_debug_with())


def test_nothing_is_asked_for_that_no_process_has() -> None:
    known = {name for family, kind in FAMILIES.items() for name in series_of(family, kind)}
    assert asked_for() <= known


def test_what_is_listed_to_debug_with_exists_and_is_not_shown() -> None:
    listed = to_debug_with()
    known = {name for family, kind in FAMILIES.items() for name in series_of(family, kind)}
    assert listed <= known
    assert not listed & asked_for()
