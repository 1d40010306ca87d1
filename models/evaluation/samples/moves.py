"""Distances of a checkpoint's samples in another runtime or precision, beside those of its card."""

import math

from models.evaluation.samples.sweep import Row, Sweep
from models.evaluation.samples.text import WITHIN


def moved(found: Sweep, card: Sweep) -> list[tuple[Row, Row]]:
    """Return the rows of `found`, each with the card's, whose kernel or Frechet distance is more
    than two standard errors of the difference away from the card's."""
    before = {row.solver.model_dump_json(): row for row in card.rows}
    pairs = [(row, before.get(row.solver.model_dump_json())) for row in found.rows]
    return [(row, other) for row, other in pairs if other is not None and _apart(row, other)]


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
        f"{len(pairs)} of {len(found.rows)} settings moved by more than {WITHIN:g} standard errors "
        "from the card's"
    )
    return "\n".join([head + (":" if lines else "."), *lines])


def _apart(row: Row, other: Row) -> bool:
    pairs = (row.kernel, other.kernel), (row.frechet, other.frechet)
    return any(
        abs(now.value - then.value) > WITHIN * math.hypot(now.standard_error, then.standard_error)
        for now, then in pairs
    )
