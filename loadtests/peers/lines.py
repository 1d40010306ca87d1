"""The amount of code that a user writes for LitServe's continuous loop."""

import ast
from pathlib import Path

SERVERS = Path(__file__).with_name("servers")
# The batch in flight, and the methods that LitServe calls.
CONTINUOUS = ("continuous.py", "litserve_continuous.py")
# What every peer needs besides: requests as rows, and finished rows as answers.
SHARED = ("solving.py",)


def code_lines(source: str) -> int:
    """Return the number of lines that hold code; docstrings, comments and blank lines do not."""
    tree = ast.parse(source)
    documents = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            text = node.body[0]
            documents.update(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    return sum(
        bool(line.strip()) and not line.lstrip().startswith("#") and number not in documents
        for number, line in enumerate(source.splitlines(), 1)
    )


def users_lines() -> tuple[int, int]:
    """Return the lines of code of the continuous loop, and of what all peers share."""
    own, shared = (
        sum(code_lines((SERVERS / name).read_text(encoding="utf-8")) for name in names)
        for names in (CONTINUOUS, SHARED)
    )
    return own, shared
