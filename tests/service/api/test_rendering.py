"""Answers that take long are not made on the event loop, where other requests would wait."""

import threading
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from service.api import kinds, waiting


@pytest.mark.parametrize(
    ("kind", "cost", "dimensions", "on_the_loop"),
    [
        ("samples", 20, 784, True),
        ("samples", 16 * 20, 64, True),
        ("samples", 1024, 784, False),
        ("samples", 64 * 20, 784, False),
        ("schedules", 1, 64, False),
    ],
)
def test_answers_of_many_images_are_made_on_a_thread(
    monkeypatch: pytest.MonkeyPatch, kind: str, cost: int, dimensions: int, on_the_loop: bool
) -> None:
    """Also where each image took one evaluation, and always those of a kind that is slow."""
    made_on: list[threading.Thread] = []
    monkeypatch.setattr(kinds, "render", lambda *_: made_on.append(threading.current_thread()))
    job = SimpleNamespace(cost=cost, checkpoint="0", task=SimpleNamespace(kind=kind))
    record = SimpleNamespace(outcome=None, job=job)
    model = SimpleNamespace(config=SimpleNamespace(dimensions=dimensions))
    catalogue = SimpleNamespace(by_checkpoint=lambda _: model)
    context = cast(Any, SimpleNamespace(catalogue=catalogue))

    async def answer() -> threading.Thread:
        await waiting.render(cast(Any, None), "image/png", cast(Any, record), context)
        return threading.current_thread()

    loop = anyio.run(answer)
    assert [thread is loop for thread in made_on] == [on_the_loop]
