"""One small served network for all tests of the engine and what is around it."""

from collections.abc import Mapping

import pytest
from small_engine import CHECKPOINT, small_served

from service.rows import Served


@pytest.fixture(scope="session")
def served() -> Served:
    return small_served()


@pytest.fixture
def models(served: Served) -> Mapping[str, Served]:
    return {CHECKPOINT: served}
