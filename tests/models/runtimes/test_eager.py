"""Many products of one row: the same numbers by another way."""

import torch

from models.network.mulan import Mulan
from models.rows.noise import Stream, rademacher
from models.rows.rows import NoiseKey, Query, take
from models.runtimes.denoiser import MANY
from models.runtimes.eager import eager_denoiser
from models.schema.mulan import MulanConfig

CONFIG = MulanConfig(
    image_shape=(4, 4, 1), vocabulary=17, width=8, depth=1, groups=4, latent_size=4, latent_k=1
)
ROWS = 3


def test_many_products_are_those_of_the_same_cotangents_a_few_at_a_time() -> None:
    torch.manual_seed(0)
    denoiser = eager_denoiser(Mulan(CONFIG).eval().requires_grad_(False))
    key = NoiseKey(torch.arange(ROWS), torch.arange(ROWS))
    probes = rademacher(key, Stream.PROBE, 0, (MANY, *CONFIG.chw)).float()
    condition = denoiser.condition(torch.eye(4)[:ROWS])
    x, t = torch.randn(ROWS, *CONFIG.chw), torch.linspace(0.2, 0.8, ROWS, dtype=torch.float64)
    whole = denoiser.evaluate(Query(x, t, probes), condition)
    half = MANY // 2
    parts = [denoiser.evaluate(Query(x, t, part), condition) for part in probes.split(half, 1)]
    assert whole.vjps is not None
    assert torch.allclose(whole.eps, parts[0].eps, atol=1e-5)
    assert torch.allclose(whole.vjps, torch.cat([part.vjps for part in parts], 1), atol=1e-5)
    # A row's bytes are its own.
    last = take((x, t, probes, condition), torch.tensor([2]))
    alone = denoiser.evaluate(Query(*last[:3]), last[3])
    assert torch.equal(alone.vjps, whole.vjps[2:])
    assert torch.equal(alone.eps, whole.eps[2:])
