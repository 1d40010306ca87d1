"""The figures as Markdown."""

from collections.abc import Sequence
from typing import Any


def markdown(figures: dict[str, Any]) -> str:
    """Return the tables of the figures that there are."""
    quanta = " and ".join(f"{size} in {name}" for name, size in figures["quantum"].items())
    return "\n".join(
        [
            f"{figures['device']}, {figures['build']}, float32 without TF32 and, for samples, "
            f"bfloat16; {figures['parameters']:,} parameters of random values, ticks of "
            f"{figures['tick']}, calls of multiples of so many rows: {quanta}.",
            "",
            *_table(
                (
                    "runtime",
                    "precision",
                    "rows",
                    "forward, ms",
                    "with two probes, ms",
                    "forward, TFLOP/s",
                ),
                [
                    (
                        call["runtime"],
                        call["precision"],
                        str(call["rows"]),
                        f"{call['forward_ms']:.2f}",
                        _given("{:.2f}", call.get("with_two_probes_ms")),
                        f"{call['forward_tflops']:.3g}",
                    )
                    for call in figures["network"]
                ],
            ),
            "",
            *_table(
                ("work", "row-evaluations/s", "images/s", "of the bare loop", "device busy"),
                [_work(one) for one in figures["engine"]],
            ),
            "",
            *[
                f"An image in {precision}, alone and among others: {_equal(same)} bytes."
                for precision, same in figures["image_bytes_equal"].items()
            ],
            *[
                f"A score, alone and among others: {difference:.1e} nats apart."
                for name, difference in figures.items()
                if name == "score_difference_nats"
            ],
            "",
        ]
    )


def _work(one: dict[str, Any]) -> tuple[str, ...]:
    rate = one["row_evaluations_per_s"]
    images = _given("{:.2f}", rate / one["evaluations"] if "evaluations" in one else None)
    busy = _given("{:.2f}", one.get("device_busy"))
    share = f"{rate / one['bare_row_evaluations_per_s']:.2f}"
    return one["kind"], f"{rate:.0f}", images, share, busy


def _given(form: str, value: float | None) -> str:
    return "" if value is None else form.format(value)


def _equal(same: bool) -> str:
    return "the same" if same else "OTHER"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
