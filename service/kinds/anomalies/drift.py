"""Drift of the images of one model from one source: whether they are still like those of the
calibration, and in which statistics they differ."""

import hashlib
import math

from models.anomaly.growing_ranks import GrowingRanks
from models.anomaly.kept import AnyCalibration
from models.anomaly.pictures import PictureVerdict
from models.anomaly.ranked import Verdict
from models.anomaly.recent_means import RecentMeans
from models.anomaly.simple_jumper import SimpleJumper

# Images after which the test begins anew, so that it takes at most about a megabyte.
MOST_IMAGES = 100_000


class Drift:
    """A test of whether images are exchangeable with those of a calibration, and the recent means
    of their statistics in the scale of the calibration."""

    def __init__(self, calibration: AnyCalibration, source: str) -> None:
        self.calibration, self.images = calibration, 0
        digest = hashlib.sha256(calibration.model_dump_json().encode()).hexdigest()
        self._ranks = GrowingRanks(calibration.ranked_scores, f"{digest} {source}")
        self.martingale = SimpleJumper()
        self.statistics = RecentMeans(calibration.standardised_names)

    def is_for(self, calibration: AnyCalibration) -> bool:
        """Whether the test can go on with an image of that calibration."""
        return self.images < MOST_IMAGES and self.calibration == calibration

    def see(self, verdict: Verdict | PictureVerdict) -> None:
        """Count one image or photograph. One that failed is stranger than all that did not."""
        self.images += 1
        score = math.inf if verdict.score is None else verdict.score
        self.martingale.bet(self._ranks.p_value(score))
        tiles = verdict.tiles if isinstance(verdict, PictureVerdict) else (verdict,)
        found = [
            self.calibration.standardise(tile.statistics)
            for tile in tiles
            if tile.statistics is not None
        ]
        if found:
            self.statistics.add(found)
