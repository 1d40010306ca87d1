"""The evaluation of verdicts as Markdown."""

from models.evaluation.anomalies.evaluate import AnomalyEvaluation


def anomaly_tables(found: AnomalyEvaluation) -> str:
    """Return the false-alarm rate and a table for each abnormal set, in Markdown."""
    normal = found.normal
    lines = [
        f"{normal.flagged} of {normal.images} {normal.name} images flagged at alpha {found.alpha}"
        f" (false alarms; {normal.failed} failed)"
    ]
    if (pixels := found.changed_pixels) is not None:
        lines += [
            "",
            f"of {pixels.images} images with one changed pixel the heatmap is hottest there in "
            f"{pixels.found}, there or beside it in {pixels.near}",
        ]
    for one in found.abnormal:
        lines += [
            "",
            f"{one.name}: {one.flagged} of {one.images} flagged ({one.failed} failed)",
            "",
            "| statistic | AUROC | AUPR | FPR95 |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {name} | {split.auroc} | {split.aupr} | {split.fpr95} |"
            for name, split in one.separations.items()
        ]
    return "\n".join(lines)
