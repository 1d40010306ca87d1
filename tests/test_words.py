"""Every docstring is a sentence that is understood without the code around it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from wording import faults, faults_of_description

ROOT = Path(__file__).parents[1]
FOLDERS = ("models", "service", "loadtests", "deploy")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstrings(source: str) -> Iterator[tuple[int, str, str]]:
    """Line, name and docstring of everything in a module that has one.

    Of a predicate it may begin with "Whether", which is read as "True if".
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)) is not None:
            returns = getattr(node, "returns", None)
            if isinstance(returns, ast.Name) and returns.id == "bool":
                text = re.sub(r"^Whether\b", "True if", text)
            yield node.body[0].lineno, getattr(node, "name", "the module"), text


def wrong_docstrings(source: str) -> list[str]:
    """What is wrong with each, by line and name."""
    return [
        f"{line}: the docstring of {name} {fault}"
        for line, name, text in docstrings(source)
        for fault in faults(text)
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_are_sentences(path: Path) -> None:
    wrong = wrong_docstrings(path.read_text(encoding="utf-8"))
    assert not wrong, "\n".join(f"{path.relative_to(ROOT)}:{line}" for line in wrong)


@pytest.mark.parametrize(
    "text",
    [
        "Return the rows that `index` selects.",
        "The schedule gamma(t), in every dimension.",
        "`mulan models train`.",
        "One model in one precision.\n\nIt is verified.",
        "(1 + number of calibration scores >= score) / (m + 1).",
    ],
)
def test_a_sentence_passes(text: str) -> None:
    assert faults_of_description(text) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("What a worker holds.", "begins with 'what'"),
        ("Of the process.", "begins with 'of'"),
        ("The same, without intervals.", "begins with 'the same'"),
        ("How well verdicts tell images apart.", "begins with 'how'"),
        ("Its `flagged` is the false-alarm rate.", "begins with 'its'"),
        ("Nothing.", "begins with 'nothing'"),
        ("Raises ValueError", "does not end its first paragraph with a full stop"),
        ("m.", "does not begin with a capital letter"),
        ("Whole seconds.", "has fewer than 3 words"),
    ],
)
def test_a_fragment_is_named(text: str, fault: str) -> None:
    assert fault in faults_of_description(text)


def test_a_predicate_alone_may_begin_with_whether() -> None:
    source = '''
def ok(self) -> bool:
    """Whether there is a likelihood."""

class JobSummary:
    """Whether and how a job stands."""

def reason(self) -> str:
    """Whether it failed."""
'''
    assert wrong_docstrings(source) == [
        "6: the docstring of JobSummary begins with 'whether'",
        "9: the docstring of reason begins with 'whether'",
    ]
