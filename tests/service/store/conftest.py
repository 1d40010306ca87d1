"""The stores under contract: a new one is one more parameter here."""

from collections.abc import Callable

import pytest
from store_setup import CAPACITY, RETAINED, RETENTION_S, Clock

from service.store.base import Store
from service.store.memory import MemoryStore


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory"])
def store(request: pytest.FixtureRequest, clock: Clock) -> Store:
    """A store that holds CAPACITY waiting jobs and remembers RETAINED ended ones."""
    makers: dict[str, Callable[[], Store]] = {
        "memory": lambda: MemoryStore(CAPACITY, RETAINED, RETENTION_S, clock)
    }
    return makers[request.param]()
