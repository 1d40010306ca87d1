"""The evaluation of verdicts as Markdown."""

from models.evaluation.anomalies.evaluate import AnomalyEvaluation


def anomaly_tables(found: AnomalyEvaluation) -> str:
    """Return the false-alarm rate and a table for each abnormal set, in Markdown."""
    normal = found.normal
    lines = [
        f"{normal.flagged} of {normal.images} {normal.name} images flagged at alpha {found.alpha}"
        f" (false alarms; {normal.failed} failed)"
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
