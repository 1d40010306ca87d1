"""The table that `mulan profile` prints."""

from typing import Any


def text(record: dict[str, Any]) -> str:
    """Return a profile as lines for a terminal."""
    total = sum(record["milliseconds"].values())
    lines = [
        f"{record['model']} on {record['execution']}, {record['threads']} threads: "
        f"{record['rows']} rows, {record['images']} to a job, of {', '.join(record['solvers'])}",
        "",
        f"{'part':10}{'ms a tick':>12}{'share':>9}{'operations':>13}",
    ]
    for part, milliseconds in record["milliseconds"].items():
        share, operations = milliseconds / total, record["operations"][part]
        lines.append(f"{part:10}{milliseconds:12.2f}{share:9.1%}{operations:13.0f}")
    lines += [
        f"{'all':10}{total:12.2f}{1:9.0%}{sum(record['operations'].values()):13.0f}",
        "",
        f"{record['rows_a_tick']:.1f} rows a tick in {record['calls_a_tick']:.1f} calls, "
        f"{record['row_evaluations_per_second']:.0f} row-evaluations/s; "
        f"the network has {record['network_share']:.1%} of the time",
        f"{record['operations_outside']:.0f} operations a tick outside the network: "
        + ", ".join(
            f"{name.removeprefix('aten.')} {number:.0f}"
            for name, number in record["operations_by_name"].items()
        ),
    ]
    if record["trace"]:
        lines.append(f"wrote {record['trace']}: open it at https://ui.perfetto.dev")
    return "\n".join(lines)
