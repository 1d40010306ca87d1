"""A sweep in words: its tables, and the steps that they say can be saved."""

from models.evaluation.samples.sweep import BASELINES, BUDGETS, RTK, Row, Sweep

COLUMNS = (*BUDGETS, *BASELINES)
# A difference of at most so many of its standard errors is still called a match.
WITHIN = 2.0


def sweep_table(found: Sweep) -> str:
    """Return the table of kernel distances by sampler and budget, Markdown. They are small, and
    given a thousandfold."""
    lines = [
        "| at most | " + " | ".join(f"{budget}" for budget in COLUMNS) + " |",
        "|---" * (1 + len(COLUMNS)) + "|",
    ]
    for name in dict.fromkeys(row.solver.name for row in found.rows):
        cells = [_cell(found, name, budget) for budget in COLUMNS]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def report(found: Sweep) -> str:
    """Return all tables of the sweep, Markdown."""
    return "\n\n".join([sweep_table(found), rivals_table(found), savings(found)])


def savings(found: Sweep) -> str:
    """Return the table of the cheapest sampler of all and the cheapest RTK that match each
    baseline, by the measured distance and within its errors, Markdown."""
    lines = [
        "| `ddpm` of | is away | as near: the cheapest | and RTK "
        f"| within {WITHIN:g} standard errors: the cheapest | and RTK |",
        "|---|---|---|---|---|---|",
    ]
    for steps in found.baselines:
        rows = [found.as_good(steps, *names, errors=e) for e in (0, WITHIN) for names in ((), RTK)]
        cells = ["none" if row is None else _settings(row) for row in rows]
        away = _thousandfold(found.baseline(steps))
        lines.append(f"| {steps} steps | {away} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def rivals_table(found: Sweep) -> str:
    """Return the table of the best RTK, the best DDPM and the best of all for each budget,
    Markdown."""
    lines = [
        "| at most | best RTK | | best DDPM | | best of all | |",
        "|---|---|---|---|---|---|---|",
    ]
    for budget in COLUMNS:
        if not all(found.of(*names, most=budget) for names in (RTK, ("ddpm",))):
            continue
        cells = []
        for names in RTK, ("ddpm",), ():
            row = found.best(budget, *names)
            cells.append(f"{_settings(row)} | {_thousandfold(row)}")
        lines.append(f"| {budget} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(found: Sweep, name: str, budget: int) -> str:
    row, cheaper = found.at(budget, name), found.at(_below(budget), name)
    return "" if row is None or row == cheaper else _thousandfold(row)


def _below(budget: int) -> int:
    return max((other for other in COLUMNS if other < budget), default=0)


def _thousandfold(row: Row) -> str:
    return f"{1000 * row.kernel.value:.2f} ± {1000 * row.kernel.standard_error:.2f}"


def _settings(row: Row) -> str:
    return f"`{row.solver.name}`, {row.evaluations}"
