"""Every statistic of a verdict has its words."""

import pytest
from small_calibration import small_calibration, small_levels
from tiny_zoo import CONFIG

from models.anomaly.kept import AnyCalibration
from models.anomaly.statistic_words import in_words

CALIBRATIONS = (small_calibration("a" * 64, CONFIG), small_levels("a" * 64, CONFIG, levels=16))


@pytest.mark.parametrize("calibration", CALIBRATIONS, ids=["path", "levels"])
def test_every_reported_statistic_has_words_of_its_own(calibration: AnyCalibration) -> None:
    found = [in_words(name) for name in calibration.reported]
    assert len(set(found)) == len(found)
    assert all(text.endswith(".") and text[0].isupper() for text in found)


def test_a_part_is_named_by_its_place() -> None:
    assert "third quarter" in in_words("path_rate_3")
    assert "coarsest octave" in in_words("spectrum_1")
    with pytest.raises(KeyError):
        in_words("nothing_1")
