"""What is tried again until it takes effect."""

import asyncio

import pytest

from service.errors import StoreUnavailable
from service.store import retry
from service.store.retry import cancel_all, retry_while_unavailable

pytestmark = pytest.mark.anyio


async def test_a_call_is_repeated_while_the_store_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_BACKOFF", 0.001)
    faults = [StoreUnavailable("away"), StoreUnavailable("still away")]

    async def call() -> str:
        if faults:
            raise faults.pop()
        return "done"

    assert await retry_while_unavailable(call) == "done"
    assert not faults


async def test_a_task_that_loses_a_cancellation_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retry, "CANCEL_AGAIN_S", 0.001)
    lost = 0

    async def forgetful() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
                if lost == 3:
                    raise

    async def failing() -> None:
        raise KeyError("a bug")

    tasks = [asyncio.create_task(forgetful()), asyncio.create_task(failing())]
    await asyncio.sleep(0)
    await asyncio.wait_for(cancel_all(*tasks), 20)
    assert tasks[0].cancelled()
    assert isinstance(tasks[1].exception(), KeyError)


async def test_a_cancelled_task_has_time_for_its_last_command() -> None:
    done = asyncio.Event()

    async def tidy() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            done.set()

    task = asyncio.create_task(tidy())
    await asyncio.sleep(0)
    await cancel_all(task)
    assert done.is_set()
