"""Noise that belongs to a row: its moments, its independence, and the same words on any device."""

import math

import numpy as np
import pytest
import torch

from models.rows import noise
from models.rows.noise import Draw, Stream, normal, rademacher, uniform
from models.rows.rows import NoiseKey

LARGEST_SEED = 2**53 - 1


def keys(rows: int, seed: int = 7, first: int = 0) -> NoiseKey:
    return NoiseKey(torch.full((rows,), seed), torch.arange(first, first + rows))


def test_host_and_device_make_the_same_words() -> None:
    key = NoiseKey(torch.tensor([0, -1, LARGEST_SEED]), torch.tensor([7, 0, 2**31]))
    wanted = [
        Draw(noise.NORMAL, Stream.STEP, torch.tensor([0, 3, 999]), (3, 5)),
        Draw(noise.UNIFORM, Stream.ACCEPT, 2, ()),
    ]
    blocks = [4, 1]
    words = noise._on_host(key, wanted, blocks)
    assert words.shape == (3, 5, 4)
    assert torch.equal(words, noise._on_device(key, wanted, blocks))


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
    same = np.uint64(word)
    monkeypatch.setattr(noise, "philox_on_host", lambda counter, key: np.full_like(counter, same))
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
