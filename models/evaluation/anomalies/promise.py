"""The promise that of good pictures at most the share alpha is flagged, put to the test."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.stats import betabinom

from models.anomaly.conformal import p_values
from models.evaluation.anomalies.bootstrap import Resamples, Scores
from models.evaluation.anomalies.roc import LEVEL, Interval
from models.evaluation.measurement import EvaluationRecord

ALPHAS = (0.05, 0.1, 0.2)


class Spread(EvaluationRecord):
    """The mean of a share over divisions, and its standard deviation between them."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, shares: NDArray[np.float64]) -> "Spread":
        """Return the mean and the deviation of `shares` `[divisions]`."""
        return cls(mean=float(shares.mean()), deviation=float(shares.std()))

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.deviation:.3f}"


class AtAlpha(EvaluationRecord):
    """The numbers of pictures flagged at one alpha."""

    alpha: float
    good: int = Field(description="Good pictures flagged by the calibration as it is.")
    likely: tuple[int, int] = Field(
        description="95 % range of that number, if they are like the calibration pictures."
    )
    defective: int = Field(description="Defective pictures flagged by the calibration as it is.")
    good_again: Spread = Field(description="Share of the good flagged, over new divisions.")
    defective_again: Spread = Field(description="Share of the defective flagged, over those.")


class Promise(EvaluationRecord):
    """The shares of pictures flagged, by the calibration as it is and by new ones.

    For new ones, calibration pictures and good ones are mixed and divided anew, as many into each
    part as before. The mean share of good ones flagged is then right whatever the scores are; what
    the divisions show is how much it varies. Whether the promise holds, the calibration as it is
    shows, on pictures that it has never seen.
    """

    calibration: int
    good: int
    defective: int
    divisions: int
    alike: Interval = Field(
        description="AUROC of the good pictures against the calibration pictures: 0.5 if alike."
    )
    rows: tuple[AtAlpha, ...]


def check_promise(
    calibration: Scores, good: Scores, defective: Scores, divisions: int, seed: int
) -> Promise:
    """Count the pictures flagged, from scores of pictures, `[m]`, `[n]` and `[d]`."""
    dice = np.random.Generator(np.random.PCG64(seed))
    pool, m = np.concatenate([calibration, good]), len(calibration)
    own = [p_values(some, np.sort(calibration)) for some in (good, defective)]
    again: list[list[NDArray[np.float64]]] = []
    for _ in range(divisions):
        mixed = dice.permutation(pool)
        reference = np.sort(mixed[:m])
        again.append([p_values(some, reference) for some in (mixed[m:], defective)])
    others, found = (np.stack(some) for some in zip(*again, strict=True))
    return Promise(
        calibration=m,
        good=len(good),
        defective=len(defective),
        divisions=divisions,
        alike=Resamples(m, len(good), seed).auroc(pool),
        rows=tuple(
            AtAlpha(
                alpha=alpha,
                good=int((own[0] <= alpha).sum()),
                likely=likely(alpha, m, len(good)),
                defective=int((own[1] <= alpha).sum()),
                good_again=Spread.of((others <= alpha).mean(1)),
                defective_again=Spread.of((found <= alpha).mean(1)),
            )
            for alpha in ALPHAS
        ),
    )


def likely(alpha: float, calibration: int, judged: int) -> tuple[int, int]:
    """Return the 95 % range of the number flagged at `alpha` among `judged` pictures like the
    `calibration` ones.

    With k of the p-values i/(m + 1) no larger than alpha, the chance of a flag under one
    calibration has the law Beta(k, m + 1 - k), and the number flagged is beta-binomial.
    """
    possible = np.arange(1, calibration + 2) / (calibration + 1)
    count = int((possible <= alpha).sum())
    if not count:
        return 0, 0
    law = betabinom(judged, count, calibration + 1 - count)
    tail = (1 - LEVEL) / 2
    return int(law.ppf(tail)), int(law.ppf(1 - tail))


def promise_table(found: Promise) -> str:
    """Return the counts in Markdown."""
    lines = [
        f"{found.calibration} good pictures for the p-values and {found.good} others, which are as "
        f"strange as those with AUROC {found.alike}",
        "",
        f"| alpha | of {found.good} good, flagged | likely | flagged in {found.divisions} new "
        f"divisions | of {found.defective} defective, flagged | in the new divisions |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.alpha} | {row.good}: {_share(row.good, found.good)} | {row.likely[0]} to "
        f"{row.likely[1]} | {row.good_again} | {row.defective}: "
        f"{_share(row.defective, found.defective)} | {row.defective_again} |"
        for row in found.rows
    ]
    return "\n".join(lines)


def _share(count: int, total: int) -> str:
    """Return a share with its binomial standard error."""
    share = count / total
    return f"{share:.3f} ± {(share * (1 - share) / total) ** 0.5:.3f}"
