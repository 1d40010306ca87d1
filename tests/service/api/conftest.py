"""One API over a fake worker."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from api_double import Service

from service.settings import Settings


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
async def service(settings: Settings) -> AsyncIterator[Service]:
    service = Service(settings)
    service.gate.open()
    task = asyncio.create_task(service.worker.run())
    yield service
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with service.client() as client:
        yield client
