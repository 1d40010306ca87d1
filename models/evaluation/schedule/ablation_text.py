"""The tables of an ablation."""

from statistics import fmean

from models.evaluation.schedule.ablation import Ablation, Arm
from models.evaluation.schedule.arms import BASELINE


def ablation_table(found: Ablation) -> str:
    """Return two Markdown tables with a line for each arm: its likelihood, and its schedule.

    The second has standard deviations of gamma at t = 1/2, means over seeds.
    """
    return "\n".join(
        [
            "| schedule | negative ELBO with log C(n, k) | with the paper's KL | "
            "gain over fixed | gain over a linear gamma, same network | steps to match fixed |",
            "|---|---|---|---|---|---|",
            *(_likelihood(arm) for arm in found.arms),
            "",
            "| schedule | KL of z, nats | z tells, nats | gamma between pixels, before training | "
            "after | between latents, before training | after | "
            "correlation of the pixels' gamma between seeds |",
            "|---|---|---|---|---|---|---|---|",
            *(_schedule(arm) for arm in found.arms),
        ]
    )


def _likelihood(arm: Arm) -> str:
    gain = "" if arm.name == BASELINE else str(arm.gain)
    steps = "" if arm.name == BASELINE else arm.steps_to_match or "never"
    own = "" if arm.name == BASELINE else str(arm.schedule_gain)
    return f"| {arm.name} | {arm.bound} | {arm.paper} | {gain} | {own} | {steps} |"


def _schedule(arm: Arm) -> str:
    runs = arm.runs
    columns = [
        f"{fmean(run.latent_kl for run in runs):.2f}",
        f"{fmean(run.information for run in runs):.2f}",
        f"{fmean(run.before.over_pixels for run in runs):.3f}",
        f"{fmean(run.after.over_pixels for run in runs):.3f}",
        f"{fmean(run.before.over_latents for run in runs):.3f}",
        f"{fmean(run.after.over_latents for run in runs):.3f}",
        "" if arm.agreement is None else f"{arm.agreement:.2f}",
    ]
    return f"| {arm.name} | " + " | ".join(columns) + " |"
