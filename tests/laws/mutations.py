"""Solvers made wrong on purpose: their modules are read anew with one edit of the source."""

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import NamedTuple

from models.solvers.base import AnySolver

PACKAGE = "models.solvers"
FOLDER = Path(importlib.import_module(PACKAGE).__path__[0])


class Edit(NamedTuple):
    """The `wrong` text in place of the `right` one in one of the solvers' modules."""

    module: str
    right: str
    wrong: str


@contextmanager
def mutated(edit: Edit) -> Iterator[dict[str, AnySolver]]:
    """The registry of the solvers with one edit.

    Raises ValueError unless the module has the right text exactly once.
    """
    path = FOLDER / f"{edit.module}.py"
    source = path.read_text(encoding="utf-8")
    if source.count(edit.right) != 1:
        raise ValueError(f"{path.name} has {source.count(edit.right)} of {edit.right!r}")
    finder = _Finder(f"{PACKAGE}.{edit.module}", path, source.replace(edit.right, edit.wrong))
    with _modules_read_anew(finder):
        solvers: dict[str, AnySolver] = importlib.import_module(PACKAGE).SOLVERS
        yield solvers


@contextmanager
def _modules_read_anew(finder: MetaPathFinder) -> Iterator[None]:
    """Let the solvers' modules be imported again, by `finder` first; then put the old ones back."""
    parent = sys.modules["models"]
    kept = {name: module for name, module in sys.modules.items() if _is_solver(name)}
    for name in kept:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if _is_solver(name)]:
            del sys.modules[name]
        sys.modules.update(kept)
        parent.solvers = kept[PACKAGE]


def _is_solver(name: str) -> bool:
    return name == PACKAGE or name.startswith(f"{PACKAGE}.")


class _Finder(MetaPathFinder):
    """Finds one module, with another source than its file's."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self.name, self.path, self.source = name, path, source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        loader = _Loader(fullname, str(self.path), self.source)
        return spec_from_file_location(fullname, self.path, loader=loader)


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self.source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.source, self.path, "exec")
