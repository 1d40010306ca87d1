"""The authors' estimator, on a model whose density is known; tests/reference has their own runs."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from models.checkpoints.checkpoint import save_manifest
from models.cli import evaluate
from models.evaluation.likelihood.paper import (
    PaperDraw,
    evaluate_paper,
    paper_bits,
    paper_draw,
    paper_kl,
)
from models.files.images import load_tokens
from models.network.mulan import Mulan
from models.network.network import Reading
from models.network.schedule import NoiseLevel
from models.runtimes.denoiser import NetworkDenoiser
from models.runtimes.eager import eager_denoiser
from models.schema.manifest import read_manifest
from models.schema.mulan import MulanConfig

CONFIG = MulanConfig(
    image_shape=(4, 4, 1),
    width=8,
    depth=1,
    encoder_depth=1,
    groups=4,
    fourier=(),
    latent_size=5,
    latent_k=2,
    schedule_width=8,
)
ROWS = 3


class Standard(Mulan):
    """Knows its data to be N(0, I), so that the flow stands still."""

    def reading(self, x: Tensor, noise: NoiseLevel) -> Reading:
        return Reading(torch.zeros_like(x), noise.sigma.to(x))


class Wide(Mulan):
    """Knows its data to be N(0, 4 I)."""

    def reading(self, x: Tensor, noise: NoiseLevel) -> Reading:
        share = noise.sigma / (4 * noise.alpha.square() + noise.sigma.square())
        return Reading(torch.zeros_like(x), share.to(x))


def denoiser(kind: type[Mulan] = Standard) -> NetworkDenoiser:
    torch.manual_seed(0)
    return eager_denoiser(kind(CONFIG).double().eval().requires_grad_(False), quantum=1)


@pytest.fixture
def given() -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, noise, probes."""
    draws = np.random.default_rng(0)
    shape = (ROWS, 1, 4, 4)
    tokens = torch.from_numpy(draws.integers(0, 256, shape, dtype=np.uint8))
    noise = torch.from_numpy(draws.standard_normal(shape).clip(-3, 3))
    return tokens, noise, torch.from_numpy(draws.choice([-1.0, 1.0], shape))


def log_normal(x: Tensor, variance: float) -> Tensor:
    terms = -0.5 * (x.square() / variance + math.log(2 * math.pi * variance))
    return terms.flatten(1).sum(1)


@pytest.mark.parametrize(("kind", "variance"), [(Standard, 1.0), (Wide, 4.0)])
def test_a_known_density(given: Any, kind: type[Mulan], variance: float) -> None:
    """That of the data, diffused a little: what the flow carries to N(0, I) at t = 1 is close to
    it, since alpha there is 0.08."""
    tokens, noise, _ = given
    found = paper_draw(denoiser(kind), *given, tolerance=1e-9, dtype=torch.float64)
    x0 = 2 * (tokens.double() + 0.5) / 256 - 1 + noise * math.exp(-13.3 / 2)
    # At t = 1 the flow's image is x0 times the ratio of the two standard deviations there.
    square = 1 / (1 + math.exp(CONFIG.gamma_max))
    ratio = math.sqrt((variance - 1) * square + 1) / math.sqrt(variance)
    x1 = ratio * x0
    torch.testing.assert_close(found.x1, x1, rtol=1e-5, atol=1e-5)
    expected = log_normal(x1, 1.0) + CONFIG.dimensions * math.log(ratio)
    torch.testing.assert_close(found.log_p, expected, rtol=0, atol=1e-3)
    assert found.nfe >= 8


def test_fixed_times_follow_the_adaptive_solve(given: Any) -> None:
    one = paper_draw(denoiser(Wide), *given, dtype=torch.float64)
    again = paper_draw(denoiser(Wide), *given, times=one.times, dtype=torch.float64)
    torch.testing.assert_close(again.log_p, one.log_p, rtol=0, atol=1e-9)
    assert again.nfe == 6 * (len(one.times) - 1)


def test_bits(given: Any) -> None:
    tokens, *_ = given
    kl = paper_kl(denoiser(), tokens, torch.float64)
    assert ((kl >= 0) & (kl <= math.log(CONFIG.latent_size))).all()
    zero = torch.zeros(ROWS)
    draw = PaperDraw(zero - 50.0, zero, zero - 20.0, zero, np.empty(0), 0)
    log_sigma = 0.5 * (-13.3 - math.log1p(math.exp(-13.3)))
    entropy = 0.5 * (1 + math.log(2 * math.pi)) - 0.01522
    one, three = (paper_bits([draw] * n, kl, 16) * 16 * math.log(2) for n in (1, 3))
    torch.testing.assert_close(one, 50 + kl - 16 * (entropy + log_sigma))
    torch.testing.assert_close(three, 30 + kl - 16 * log_sigma)


def test_evaluation_is_determined_by_its_seed(given: Any) -> None:
    tokens, *_ = given
    model = eager_denoiser(denoiser(Wide).model.float(), quantum=1)
    one, again, other = (
        evaluate_paper(model, tokens, seed=seed, draws=2, batch=2) for seed in (0, 0, 1)
    )
    assert one == again
    assert one.bits != other.bits
    assert (one.images, one.draws) == (3, 2)


def test_beside_the_services_own_on_a_checkpoint_that_records_no_data(
    small_checkpoint: Path, tmp_path: Path
) -> None:
    """As an imported one: what is given is scored, if it is the model's."""
    folder = tmp_path / "imported"
    shutil.copytree(small_checkpoint, folder)
    manifest = read_manifest(folder).model_copy(update={"data": None, "training": None})
    save_manifest(folder, manifest)
    np.save(tmp_path / "images.npy", load_tokens("digits")[:3])
    np.save(tmp_path / "others.npy", np.zeros((3, 9, 8), np.uint8))
    command = ["likelihood", "small", "--models", str(tmp_path), "--paper", "--json"]
    command += ["--tolerance-nats", "5", "--data"]
    printed = CliRunner().invoke(evaluate, [*command, str(tmp_path / "images.npy")])
    found = json.loads(printed.stdout)
    assert found["paper"]["images"] == found["ode"]["images"] == found["elbo"]["images"] == 3
    # NoiseLevel of gamma = -13.3, as if for 256 values, leaves most of these wide bins empty.
    assert found["ode"]["paper"]["mean"] < found["paper"]["bits"]["mean"] < 20
    for rest, fault in ((["--data", "x"], "x: "), ([], "records no test images")):
        refused = CliRunner().invoke(evaluate, [*command[:-1], *rest])
        assert refused.exit_code == 1
        assert fault in refused.stderr
    refused = CliRunner().invoke(evaluate, [*command, str(tmp_path / "others.npy")])
    assert "images are (9, 8, 1), the model's (8, 8, 1)" in refused.stderr
