"""The same for many minutes: `make chaos`."""

from typing import Any

import pytest
from fuzz import Fuzz, writes
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_short_fuzz import SETTINGS, fuzz, round_of

pytestmark = pytest.mark.chaos

__all__ = ["SETTINGS", "fuzz"]


@settings(
    max_examples=400,
    deadline=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
@given(several=st.lists(writes, min_size=1, max_size=4))
def test_random_bytes_and_wrong_types_harm_no_other_job_for_long(
    fuzz: Fuzz, several: list[tuple[Any, ...]]
) -> None:
    round_of(fuzz, several)
    if len(fuzz.victims) % 20 == 0:
        fuzz.settle()


def test_everything_that_was_written_to_has_ended(fuzz: Fuzz) -> None:
    fuzz.settle()
