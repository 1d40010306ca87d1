"""How pytest-xdist divides the tests among its processes.

All tests of a file run in one process, one after another, so that what a module's fixtures start
is started once. Files that share more than that, one service or all cores, go together.

The marks of `--dist loadgroup` would say the same, but pytest-xdist 3.8 does not see them beside
pytest 9.2 (its issue 1386), and nothing fails then.
"""

from xdist.scheduler import LoadScopeScheduling

# Files that start what they need themselves, so that nothing is gained by company.
ALONE = (
    "tests/e2e/test_diffusers_service.py",
    "tests/e2e/test_imported_checkpoint.py",
    "tests/e2e/test_your_own_images.py",
)
# Folders whose other files share a process.
TOGETHER = ("tests/chaos", "tests/e2e/playground", "tests/e2e")
# Tests that take long begin first, so that at the end no process waits for another's.
FIRST = (
    "tests/chaos",
    "tests/e2e",
    "tests/laws/test_add_a_solver.py",
    "tests/deploy/test_live_boards.py",
)


def place(path: str) -> int:
    """The place of a file in the order of tests; equal ones stay in the order of their names."""
    return next((i for i, first in enumerate(FIRST) if path.startswith(first)), len(FIRST))


class ByFile(LoadScopeScheduling):
    """Gives each process one file after another, or one of the folders that go together."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        if path in ALONE:
            return path
        return next((folder for folder in TOGETHER if path.startswith(folder)), path)
