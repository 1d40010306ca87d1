"""A sweep in words: one table, and what it says of the steps that can be saved."""

from models.evaluation.sweep import BASELINES, BUDGETS, RTK, Row, Sweep

COLUMNS = (*BUDGETS, *BASELINES)


def sweep_table(found: Sweep) -> str:
    """Kernel distances by sampler and budget, Markdown; a thousandfold, since they are small."""
    lines = [
        "| at most | " + " | ".join(f"{budget}" for budget in COLUMNS) + " |",
        "|---" * (1 + len(COLUMNS)) + "|",
    ]
    for name in dict.fromkeys(row.solver.name for row in found.rows):
        cells = [_cell(found, name, budget) for budget in COLUMNS]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def report(found: Sweep) -> str:
    """All of it, Markdown."""
    return "\n\n".join([sweep_table(found), rivals_table(found), "\n".join(savings(found))])


def savings(found: Sweep) -> list[str]:
    """For each baseline, the cheapest RTK and the cheapest sampler of all that match it."""
    lines = []
    for steps in found.baselines:
        rtk, any_ = found.as_good(steps, *RTK), found.as_good(steps)
        lines.append(
            f"- `ddpm` of {steps} steps is matched by {_named(any_)}, and of RTK by {_named(rtk)}."
        )
    return lines


def rivals_table(found: Sweep) -> str:
    """The best RTK, the best DDPM and the best of all for each budget, Markdown."""
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


def _named(row: Row | None) -> str:
    return "none" if row is None else f"`{row.solver.name}` at {row.evaluations} evaluations"


def _settings(row: Row) -> str:
    return f"`{row.solver.name}`, {row.evaluations}"
