"""Philox: Random123's known answers, by torch and by NumPy."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from models.rows.philox import philox, philox_on_host

KNOWN = [
    (
        "00000000 00000000 00000000 00000000",
        "00000000 00000000",
        "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    ),
    (
        "ffffffff ffffffff ffffffff ffffffff",
        "ffffffff ffffffff",
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
    ),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


def words(text: str) -> Tensor:
    return torch.tensor([int(word, 16) for word in text.split()])


def on_host(counter: Tensor, key: Tensor) -> Tensor:
    found = philox_on_host(counter.numpy().view(np.uint64), key.numpy().view(np.uint64))
    return torch.from_numpy(found.view(np.int64))


@pytest.mark.parametrize("generate", [philox, on_host])
@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_the_known_answers(
    counter: str, key: str, answer: str, generate: Callable[[Tensor, Tensor], Tensor]
) -> None:
    assert torch.equal(generate(words(counter), words(key)), words(answer))


@pytest.mark.parametrize("generate", [philox, on_host])
def test_many_counters_and_keys_at_once(generate: Callable[[Tensor, Tensor], Tensor]) -> None:
    counters, keys, answers = (
        torch.stack([words(row[column]) for row in KNOWN], dim=1) for column in range(3)
    )
    assert torch.equal(generate(counters, keys), answers)
    twice = counters[:, :, None].expand(-1, -1, 2)
    assert torch.equal(generate(twice, keys[:, :, None])[..., 1], answers)


def test_nothing_is_changed() -> None:
    counter, key = (np.arange(size, dtype=np.uint64).reshape(size, 1) for size in (4, 2))
    before = counter.copy(), key.copy()
    philox_on_host(counter, key)
    assert (counter == before[0]).all()
    assert (key == before[1]).all()
