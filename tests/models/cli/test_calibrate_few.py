"""`mulan models calibrate` with too few images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.cli.actions import calibrate_arrays
from models.schema.errors import DataError


def test_the_folder_that_lacks_images_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [np.zeros((count, 4, 3, 1), np.uint8) for count in (4, 30)]
    monkeypatch.setattr(calibrate_arrays, "_parts", lambda *_: (parts, ""))
    unused: Any = type("Settings", (), {"seed": 0})
    with pytest.raises(DataError) as caught:
        calibrate_arrays.calibrate_on_arrays(unused, Path("cats"), None, Path("good"), 50, unused)
    assert str(caught.value) == (
        "good: 4 images to fit on and 30 for p-values; at least 20 are needed of each"
    )
