"""The power of a calibration: its scores of defects drawn on good images. NumPy alone."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Scores = NDArray[np.float64]
ALPHA = 0.05
# A calibration whose AUROC may be no more than this, by its 95 % interval, is called blind.
BLIND = 0.6
RESAMPLES, TAILS = 500, (0.025, 0.975)


class Seen(BaseModel):
    """The separation of one kind of defect from good images."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    defects: int
    auroc: float = Field(description="Chance that a defect scores above a good image.")
    flagged: float = Field(description=f"Share of the defects flagged at alpha {ALPHA}.")


class Power(BaseModel):
    """The power check: scores of synthetic defects on good images that nothing was fitted on."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    all: Seen
    interval: tuple[float, float] = Field(description="95 % bootstrap interval of the AUROC.")
    kinds: dict[str, Seen] = Field(
        description="Separation of each kind of defect, by its name.",
        examples=[{"scratch": {"defects": 48, "auroc": 0.75, "flagged": 0.25}}],
    )
    parts: dict[str, float] = Field(
        description="AUROC of each part of the score by itself.", examples=[{"codec_bits": 0.75}]
    )
    blind: bool = Field(
        description=f"True if the AUROC may be no more than {BLIND}: defects are hardly seen."
    )

    @property
    def summary(self) -> str:
        """One line for people."""
        low, high = self.interval
        worst = min(self.kinds, key=lambda kind: self.kinds[kind].auroc)
        return (
            f"of {self.all.defects} synthetic defects {self.all.flagged:.0%} are flagged at alpha "
            f"{ALPHA}, AUROC {self.all.auroc:.3f} ({low:.3f}, {high:.3f}); the least visible kind "
            f"is {worst}, {self.kinds[worst].auroc:.3f}"
        )

    @property
    def warning(self) -> str | None:
        """The line that a checkpoint which cannot see defects is shown with, or None."""
        if not self.blind:
            return None
        return f"this calibration hardly sees synthetic defects: {self.summary}"


def check_power(
    good: Scores,
    defective: Scores,
    kinds: Sequence[str],
    parts: Mapping[str, tuple[Scores, Scores]],
    seed: int,
) -> Power:
    """Compare scores of defects, of these `kinds`, with those of the calibration images.

    `parts` has the same pair for each part of the score.
    """
    threshold = float(np.quantile(good, 1 - ALPHA, method="higher"))
    dice = np.random.Generator(np.random.PCG64(seed))
    again = [
        auroc(*(one[dice.integers(0, len(one), len(one))] for one in (good, defective)))
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(again, TAILS).tolist()
    label = np.array(kinds)
    return Power(
        all=_seen(good, defective, threshold),
        interval=(low, high),
        kinds={
            kind: _seen(good, defective[label == kind], threshold) for kind in sorted(set(kinds))
        },
        parts={name: auroc(*pair) for name, pair in parts.items()},
        blind=low <= BLIND,
    )


def auroc(good: Scores, strange: Scores) -> float:
    """Return the chance that one of `strange` is above one of `good`, ties counting half."""
    ordered = np.sort(good)
    places = sum(np.searchsorted(ordered, strange, side=side) for side in ("left", "right"))
    return float(np.mean(places) / (2 * len(good)))


def _seen(good: Scores, defective: Scores, threshold: float) -> Seen:
    return Seen(
        defects=len(defective),
        auroc=auroc(good, defective),
        flagged=float(np.mean(defective > threshold)),
    )
