"""Links and paths in documents lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "deploy/*.md", "models/zoo/*/*.md")
    for path in REPOSITORY.glob(pattern)
)
ROOTS = "models|service|deploy|docs|loadtests|tests"
by_name = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY))
)


def prose(document: Path) -> str:
    """Its text without blocks of code."""
    text = document.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    """Those of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def tree(block: str) -> Iterator[str]:
    """Paths of a drawn tree: folders end in a slash, and what is below is indented."""
    parents: list[tuple[int, str]] = []
    for line in block.splitlines():
        indent = len(line) - len(line.lstrip())
        names = re.match(r"\s*((?:[\w.]+(?:/|\.py|\.md|\.txt|\.yml|file)\s?)+)", line)
        assert names, line
        while parents and parents[-1][0] >= indent:
            parents.pop()
        folder = "".join(name for _, name in parents)
        found = names.group(1).split()
        yield from (folder + name for name in found)
        if found[0].endswith("/"):
            parents.append((indent, found[0]))


@by_name
def test_every_link_inside_the_repository_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if re.match(r"\w+://", target):
            continue
        path, _, anchor = target.partition("#")
        found = document.parent / path if path else document
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), target


@by_name
def test_every_path_named_in_a_document_exists(document: Path) -> None:
    named = re.findall(rf"`((?:{ROOTS})/[\w./-]+)`", prose(document))
    missing = [path for path in named if not (REPOSITORY / path).exists()]
    assert not missing


def test_the_trees_of_the_architecture_are_those_of_the_repository() -> None:
    text = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    paths = {path for language, block in blocks if not language for path in tree(block)}
    assert {"models/schema/", "deploy/RUNBOOK.md", "service/api/"} <= paths
    assert [path for path in sorted(paths) if not (REPOSITORY / path).exists()] == []
    folders = {
        f"models/{path.name}/"
        for path in (REPOSITORY / "models").iterdir()
        if path.is_dir() and path.name != "__pycache__"
    }
    assert folders <= paths


def test_the_index_names_every_decision() -> None:
    folder = REPOSITORY / "docs/decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    for decision in folder.glob("0*.md"):
        assert index.count(f"({decision.name})") == 1, decision.name
