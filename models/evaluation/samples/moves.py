"""Distances of a checkpoint's samples in another runtime or precision, beside those of its card."""

import math

from models.evaluation.samples.sweep import Row, Sweep
from models.evaluation.samples.text import WITHIN


def compared(found: Sweep, card: Sweep) -> list[tuple[Row, Row]]:
    """Return the rows of `found` whose setting the card has too, each with the card's."""
    before = {row.solver.model_dump_json(): row for row in card.rows}
    pairs = [(row, before.get(row.solver.model_dump_json())) for row in found.rows]
    return [(row, other) for row, other in pairs if other is not None]


def moved(found: Sweep, card: Sweep) -> list[tuple[Row, Row]]:
    """Return those of the `compared` rows whose kernel or Frechet distance is more than two
    standard errors of the difference away from the card's."""
    return [pair for pair in compared(found, card) if _apart(*pair)]


def moves_report(found: Sweep, card: Sweep) -> str:
    """Return where distances moved, one line for each setting."""
    pairs = moved(found, card)
    lines = [
        f"- `{row.solver.name}` at {row.evaluations} evaluations: kernel {row.kernel.value:.5f} "
        f"after {other.kernel.value:.5f}, Frechet {row.frechet.value:.3f} after "
        f"{other.frechet.value:.3f}"
        for row, other in pairs
    ]
    head = (
        f"{len(pairs)} of {len(compared(found, card))} settings of the card moved by more than "
        f"{WITHIN:g} standard errors from its own"
    )
    return "\n".join([head + (":" if lines else "."), *lines])


def _apart(row: Row, other: Row) -> bool:
    pairs = (row.kernel, other.kernel), (row.frechet, other.frechet)
    # What is not a number has moved.
    return not all(
        abs(now.value - then.value) <= WITHIN * math.hypot(now.standard_error, then.standard_error)
        for now, then in pairs
    )
