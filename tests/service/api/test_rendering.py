"""Answers that take long are not made on the event loop, where other requests would wait."""

import threading
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from service.api import kinds, waiting


@pytest.mark.parametrize(
    ("cost", "dimensions", "on_the_loop"),
    [(20, 784, True), (16 * 20, 64, True), (1024, 784, False), (64 * 20, 784, False)],
)
def test_answers_of_many_images_are_made_on_a_thread(
    monkeypatch: pytest.MonkeyPatch, cost: int, dimensions: int, on_the_loop: bool
) -> None:
    """Also where each image took one evaluation."""
    made_on: list[threading.Thread] = []
    monkeypatch.setattr(kinds, "render", lambda *_: made_on.append(threading.current_thread()))
    record = SimpleNamespace(outcome=None, job=SimpleNamespace(cost=cost, checkpoint="0"))
    model = SimpleNamespace(config=SimpleNamespace(dimensions=dimensions))
    catalogue = SimpleNamespace(by_checkpoint=lambda _: model)
    context = cast(Any, SimpleNamespace(catalogue=catalogue))

    async def answer() -> threading.Thread:
        await waiting.render(cast(Any, None), "image/png", cast(Any, record), context)
        return threading.current_thread()

    loop = anyio.run(answer)
    assert [thread is loop for thread in made_on] == [on_the_loop]
