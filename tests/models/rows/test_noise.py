"""Noise that belongs to a row: Random123's known answers, its moments, and its independence."""

import math

import pytest
import torch
from torch import Tensor

from models.rows.noise import Stream, normal, philox, rademacher, uniform
from models.rows.rows import NoiseKey

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
LARGEST_SEED = 2**53 - 1


def words(text: str) -> Tensor:
    return torch.tensor([int(word, 16) for word in text.split()])


def keys(rows: int, seed: int = 7, first: int = 0) -> NoiseKey:
    return NoiseKey(torch.full((rows,), seed), torch.arange(first, first + rows))


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_philox_gives_the_known_answers(counter: str, key: str, answer: str) -> None:
    assert torch.equal(philox(words(counter), words(key)), words(answer))


def test_philox_is_vectorised_over_counters_and_keys() -> None:
    counters, key_words, answers = (
        torch.stack([words(row[column]) for row in KNOWN]) for column in range(3)
    )
    assert torch.equal(philox(counters, key_words), answers)


def test_uniforms_are_of_52_bits_inside_the_open_interval() -> None:
    draws = uniform(keys(1000), Stream.ACCEPT, 0, (100,))
    assert draws.dtype == torch.float64
    assert draws.shape == (1000, 100)
    assert draws.min() > 0
    assert draws.max() < 1
    count = draws.numel()
    assert abs(draws.mean().item() - 0.5) < 5 / math.sqrt(12 * count)
    bins = torch.histc(draws.float(), 100, 0, 1)
    chi_square = ((bins - count / 100).square() / (count / 100)).sum().item()
    assert abs(chi_square - 99) < 5 * math.sqrt(2 * 99)
    low_bits = (draws * 2.0**52).floor().long() & 1
    assert abs(low_bits.double().mean().item() - 0.5) < 5 * 0.5 / math.sqrt(count)


@pytest.mark.parametrize(("word", "end"), [(0, 0.0), (0xFFFFFFFF, 1.0)])
def test_the_outermost_words_stay_off_the_ends(
    word: int, end: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.rows.noise.philox", lambda counter, key: counter * 0 + word)
    draw = uniform(keys(1), Stream.ACCEPT, 0, ()).item()
    assert draw != end
    assert draw == pytest.approx(end, abs=1e-15)
    assert normal(keys(1), Stream.STEP, 0, (2,)).isfinite().all()


def test_normals_have_the_moments_of_normals() -> None:
    draws = normal(keys(2000), Stream.STEP, 3, (1, 8, 8)).double()
    count = draws.numel()
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        found = draws.pow(power).mean().item()
        assert abs(found - moment) < 5 * math.sqrt(spread / count)
    flat = draws.flatten(1)
    correlation = flat.T @ flat / len(flat) - torch.eye(64)
    assert correlation.abs().max() < 5.5 * math.sqrt(2 / len(flat))
    assert draws.abs().max() > 4


def test_signs_are_fair() -> None:
    signs = rademacher(keys(1000), Stream.PROBE, 0, (3, 4, 4))
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert abs(signs.mean().item()) < 5 / math.sqrt(signs.numel())


@pytest.mark.parametrize("draw_of", [uniform, normal, rademacher])
def test_a_row_does_not_see_the_batch(draw_of: object) -> None:
    assert callable(draw_of)
    many = keys(37)
    together = draw_of(many, Stream.STEP, torch.arange(37), (3, 5))
    order = torch.randperm(37, generator=torch.Generator().manual_seed(0))
    shuffled = NoiseKey(many.seed[order], many.number[order])
    assert torch.equal(draw_of(shuffled, Stream.STEP, order, (3, 5)), together[order])
    for row in (0, 20, 36):
        alone = draw_of(
            NoiseKey(many.seed[:1], many.number[row : row + 1]), Stream.STEP, row, (3, 5)
        )
        assert torch.equal(alone[0], together[row])


def test_seed_index_stream_and_draw_all_tell_apart() -> None:
    variants = [
        uniform(keys(1, seed, index), stream, draw, (4,))
        for seed in (0, 1, 2**32, LARGEST_SEED, -1)
        for index in (0, 1, 499)
        for stream in (Stream.START, Stream.STEP, Stream.PROPOSAL)
        for draw in (0, 1, 999)
    ]
    values = torch.cat(variants).flatten()
    assert len(values.unique()) == len(values)


def test_longer_draws_begin_as_shorter_ones() -> None:
    assert torch.equal(
        uniform(keys(3), Stream.START, 0, (9,))[:, :5], uniform(keys(3), Stream.START, 0, (5,))
    )


def test_a_scalar_shape_is_one_number_a_row() -> None:
    assert uniform(keys(5), Stream.ACCEPT, 0, ()).shape == (5,)
