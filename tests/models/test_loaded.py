"""The Python API: its own consistency. tests/reference holds it to the official code."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.checkpoints.checkpoint import save_manifest, save_weights
from models.loaded import LoadedCheckpoint, load
from models.network.mulan import Mulan
from models.schema.manifest import Manifest
from models.schema.mulan import MulanConfig

CONFIG = MulanConfig(
    image_shape=(4, 6, 3),
    width=16,
    depth=1,
    encoder_depth=1,
    groups=4,
    fourier=(1,),
    latent_size=5,
    latent_k=2,
    schedule_width=8,
)
DRAWS = np.random.default_rng(0)
IMAGES = DRAWS.integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)
X, NOISE, NOISE0 = DRAWS.standard_normal((3, 3, 4, 6, 3))
SIGNS = DRAWS.choice([-1.0, 1.0], X.shape)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = Mulan(CONFIG)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    folder = tmp_path_factory.mktemp("loaded") / "some"
    sha256 = save_weights(folder, CONFIG, model.state_dict())
    count = sum(parameter.numel() for parameter in model.parameters())
    save_manifest(folder, Manifest(name="some", config=CONFIG, sha256=sha256, parameters=count))
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> LoadedCheckpoint:
    return load(folder, "float64")


def test_images_there_and_back(model: LoadedCheckpoint) -> None:
    x = model.encode(IMAGES)
    assert np.abs(x).max() < 1
    alpha = np.exp(CONFIG.log_alpha0)
    np.testing.assert_array_equal(model.decode(alpha * x), IMAGES)


def test_latents(model: LoadedCheckpoint) -> None:
    latent, logits = model.latent(IMAGES), model.logits(IMAGES)
    assert (latent.sum(1) == 2).all()
    assert (
        logits[latent == 1].reshape(3, 2).min(1) >= logits[latent == 0].reshape(3, 3).max(1)
    ).all()
    assert ((model.latent_kl(IMAGES) >= 0) & (model.latent_kl(IMAGES) < np.log(5))).all()


def test_schedule(model: LoadedCheckpoint) -> None:
    latent, h = model.latent(IMAGES), 1e-5
    for end, gamma in ((0, CONFIG.gamma_min), (1, CONFIG.gamma_max)):
        np.testing.assert_allclose(model.schedule(latent, end).gamma, gamma)
    here, there = (model.schedule(latent, 0.4 + d) for d in (-h, h))
    slope = (there.gamma - here.gamma) / (2 * h)
    middle = model.schedule(latent, [0.4, 0.4, 0.4])
    np.testing.assert_allclose(middle.dgamma_dt, slope, rtol=1e-6)
    np.testing.assert_allclose(middle.alpha**2 + middle.sigma**2, 1)


def test_network_and_noise_agree(model: LoadedCheckpoint) -> None:
    """A velocity network: eps = alpha v + sigma x, at the time where gamma has that mean."""
    latent, at = model.latent(IMAGES), model.schedule(model.latent(IMAGES), 0.7)
    v = model.network(X, at.gamma.mean((1, 2, 3)), latent)
    np.testing.assert_allclose(model.epsilon(X, 0.7, latent), at.alpha * v + at.sigma * X)


def test_drift_and_its_jacobian(model: LoadedCheckpoint) -> None:
    latent, t, h = model.latent(IMAGES), 0.6, 1e-5
    at = model.schedule(latent, t)
    expected = 0.5 * at.dgamma_dt * at.sigma * (model.epsilon(X, t, latent) - at.sigma * X)
    np.testing.assert_allclose(model.drift(X, t, latent), expected)
    # v . (J u) = (J^T v) . u
    ahead, behind = (model.drift(X + d * NOISE, t, latent) for d in (h, -h))
    forwards = (SIGNS * (ahead - behind) / (2 * h)).sum((1, 2, 3))
    backwards = (model.pull_back(X, t, latent, SIGNS) * NOISE).sum((1, 2, 3))
    np.testing.assert_allclose(backwards, forwards, rtol=1e-6)


def test_an_ancestral_step(model: LoadedCheckpoint) -> None:
    latent = model.latent(IMAGES)
    t, r = model.schedule(latent, 0.5), model.schedule(latent, 0.3)
    share = -np.expm1(r.gamma - t.gamma)
    mean = r.alpha / t.alpha * (X - t.sigma * share * model.epsilon(X, 0.5, latent))
    expected = mean + r.sigma * np.sqrt(share) * NOISE
    found = model.ancestral_step(X, 0.5, 0.3, latent, NOISE)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


def test_elbo(model: LoadedCheckpoint) -> None:
    latent, t = model.latent(IMAGES), np.array([0.2, 0.5, 0.8])
    terms = model.elbo(IMAGES, t, NOISE0, NOISE)
    at = model.schedule(latent, t)
    x = at.alpha * model.encode(IMAGES) + at.sigma * NOISE
    square = np.square(NOISE - model.epsilon(x, t, latent))
    np.testing.assert_allclose(
        terms.diffusion, 0.5 * (at.dgamma_dt * square).sum((1, 2, 3)), rtol=1e-6
    )
    np.testing.assert_allclose(terms.latent, model.latent_kl(IMAGES))
    np.testing.assert_allclose(
        terms.total, terms.reconstruction + terms.prior + terms.diffusion + terms.latent
    )
    other = np.roll(latent, 1, axis=1)
    assert not np.allclose(model.elbo(IMAGES, t, NOISE0, NOISE, other).diffusion, terms.diffusion)


def test_the_authors_likelihood(model: LoadedCheckpoint) -> None:
    noise = NOISE.clip(-3, 3)
    draw = model.paper_likelihood(IMAGES, noise, SIGNS, times=np.linspace(0, 1, 9))
    assert draw.nfe == 48
    bits = model.paper_bits(IMAGES, [draw])
    assert bits.shape == (3,)
    assert np.isfinite(bits).all()


def test_single_precision_is_close(folder: Path, model: LoadedCheckpoint) -> None:
    single, latent = load(folder), model.latent(IMAGES)
    found = single.drift(X, 0.4, latent)
    np.testing.assert_allclose(found, model.drift(X, 0.4, latent), rtol=1e-3, atol=1e-4)
    assert single.network(X, -3.0, latent).dtype == np.float32


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        (lambda m, z: m.drift(X, 1.5, z), "times outside"),
        (lambda m, z: m.epsilon(X, [0.1, 0.2], z), "numbers for 3 rows"),
        (lambda m, z: m.epsilon(X, float("nan"), z), "times outside"),
        (lambda m, z: m.epsilon(X[:2], 0.5, z), "different numbers of rows"),
        (lambda m, z: m.pull_back(X, 0.5, z, SIGNS[:1]), "different numbers of rows"),
        (lambda m, z: m.network(X[:, :3], 0.0, z), "images are"),
        (lambda m, z: m.schedule(z[:, :4], 0.5), "latents are"),
        (lambda m, z: m.logits(IMAGES / 255), "not integer tokens"),
        (lambda m, z: m.encode(IMAGES.astype(int) + 200), "tokens outside 0 to 255"),
        (lambda m, z: m.elbo(IMAGES, 0.5, NOISE, NOISE[:1]), "different numbers of rows"),
    ],
)
def test_arguments_that_make_no_sense(model: LoadedCheckpoint, call: Any, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        call(model, model.latent(IMAGES))
