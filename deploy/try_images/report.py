"""The checks that were made, and how they came out."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from deploy.try_images.tools import TrialError


@dataclass(frozen=True)
class Row:
    """One check: what it is, whether it succeeded, what was seen, and the seconds it took."""

    title: str
    succeeded: bool
    seen: str
    took_s: float

    def __str__(self) -> str:
        verdict = "ok" if self.succeeded else "FAILED"
        return f"{verdict:6}  {self.took_s:7.1f} s  {self.title}: {self.seen}"


@dataclass
class Report:
    """The rows so far; each is printed when its check ends."""

    rows: list[Row] = field(default_factory=list)

    def check(self, title: str, look: Callable[[], str]) -> bool:
        """Make a check, which says what it saw or raises, and tell whether it succeeded."""
        began = time.monotonic()
        try:
            succeeded, seen = True, look()
        except (TrialError, httpx.HTTPError, OSError) as error:
            succeeded, seen = False, str(error) or type(error).__name__
        row = Row(title, succeeded, seen, time.monotonic() - began)
        print(row, flush=True)
        self.rows.append(row)
        return succeeded

    @property
    def succeeded(self) -> bool:
        """Tell whether every check did."""
        return all(row.succeeded for row in self.rows)

    def summary(self) -> str:
        """Return how many checks succeeded."""
        good = sum(row.succeeded for row in self.rows)
        return f"{good} passed, {len(self.rows) - good} failed"
