"""docs/settings.md has every setting, and docs/errors.md every code of an error."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from service import errors
from service.settings import PREFIX, Settings

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
# Defaults that depend on the machine or its user, in words.
IN_WORDS = {
    "models": "the included checkpoints",
    "threads": "one for each core, at most 4",
    "cache": "`mulan-serve` in the user's cache folder",
}


def default(name: str) -> str:
    value = Settings.model_fields[name].default
    if name in IN_WORDS:
        return IN_WORDS[name]
    if value in ("", ()):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def settings_table() -> str:
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        lines.append(f"| `{PREFIX}{name.upper()}` | {default(name)} | {field.description} |")
    return "\n".join(lines)


def statuses(kind: type[errors.ServiceError] = errors.ServiceError) -> Iterator[tuple[str, int]]:
    """The code and the status of an error and of those below it, where they have their own."""
    if "code" in vars(kind):
        yield kind.code, kind.status
    for below in kind.__subclasses__():
        yield from statuses(below)


def named_codes() -> dict[str, int]:
    """Codes that the sources give to errors whose class has none of its own."""
    found = {"invalid-request": errors.InvalidRequest.status}
    for path in (REPOSITORY / "service").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                made = ast.unparse(node.func).partition(".")[0]
                if made in {"TooLarge", "InvalidRequest"}:
                    for code in filter(re.compile(r"[a-z]+(-[a-z]+)+").fullmatch, texts(node)):
                        found[code] = getattr(errors, made).status
    return found


def texts(call: ast.Call) -> Iterator[str]:
    for given in [*call.args, *(keyword.value for keyword in call.keywords)]:
        for node in ast.walk(given):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_every_setting_is_documented() -> None:
    assert settings_table() in (DOCS / "settings.md").read_text(encoding="utf-8")


def test_every_code_is_documented_with_its_status() -> None:
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d{3}) \| `([a-z-]+)` \|", page, re.MULTILINE)
    documented = {code: int(status) for status, code in rows}
    assert len(documented) == len(rows)
    assert documented == dict(statuses()) | named_codes()
