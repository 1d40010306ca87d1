"""One API behind the server of every process."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from wire import Wire, serving

from service.settings import Settings


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The event loop of every process."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
async def wire(settings: Settings) -> AsyncIterator[Wire]:
    async with serving(settings) as wire:
        yield wire
