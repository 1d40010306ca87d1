"""The figures as Markdown."""

from collections.abc import Sequence
from typing import Any


def markdown(figures: dict[str, Any]) -> str:
    """Return the tables of all figures."""
    engine = figures["engine"] + figures["service"]
    invariance = figures["invariance"]
    return "\n".join(
        [
            f"{figures['device']}, {figures['build']}, float32 without TF32, "
            f"{figures['parameters']:,} parameters of random values, ticks of {figures['tick']}, "
            f"calls of multiples of {figures['quantum']} rows.",
            "",
            *_table(
                ("runtime", "rows", "forward, ms", "with two probes, ms", "forward, TFLOP/s"),
                [
                    (
                        call["runtime"],
                        str(call["rows"]),
                        f"{call['forward_ms']:.2f}",
                        f"{call['with_two_probes_ms']:.2f}",
                        f"{call['forward_tflops']:.3g}",
                    )
                    for call in figures["network"]
                ],
            ),
            "",
            *_table(
                ("work", "row-evaluations/s", "images/s", "of the bare loop", "device busy"),
                [_work(one) for one in engine],
            ),
            "",
            f"An image alone and among others: {_equal(invariance['image_bytes_equal'])} bytes. "
            f"A score: {invariance['score_difference_nats']:.1e} nats apart.",
            "",
        ]
    )


def _work(one: dict[str, Any]) -> tuple[str, ...]:
    rate = one["row_evaluations_per_s"]
    images = f"{rate / one['evaluations']:.2f}" if "evaluations" in one else ""
    busy = f"{one['device_busy']:.2f}" if "device_busy" in one else ""
    share = f"{rate / one['bare_row_evaluations_per_s']:.2f}"
    return one["kind"], f"{rate:.0f}", images, share, busy


def _equal(same: bool) -> str:
    return "the same" if same else "OTHER"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
