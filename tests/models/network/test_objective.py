"""The bound, term by term, against direct computation and closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit, logsumexp
from torch.distributions import Independent, Normal, kl_divergence

from models.network.encoder import relaxed_top_k, top_k
from models.network.mulan import Mulan
from models.network.objective import negative_elbo, prior, reconstruction
from models.network.pixels import tokens_to_data
from models.schema.mulan import MulanConfig

CONFIG = MulanConfig(
    image_shape=(4, 4, 1),
    vocabulary=5,
    width=16,
    depth=1,
    encoder_depth=1,
    groups=4,
    latent_size=6,
    latent_k=2,
    gamma_min=-5.0,
    gamma_max=3.0,
    fourier=(1,),
    schedule_width=8,
    parameterisation="epsilon",
)


def model_of(**changes):
    """A model whose every parameter is random: fresh ones predict nothing."""
    model = Mulan(CONFIG.model_copy(update=changes)).double().eval()
    draws = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=draws).double())
    return model


def noises(rows, seed=0):
    draws = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, CONFIG.vocabulary, (rows, *CONFIG.chw), generator=draws)
    epsilon0, epsilon = torch.randn(2, rows, *CONFIG.chw, generator=draws, dtype=torch.float64)
    return tokens, epsilon0, epsilon


@pytest.mark.parametrize("gamma_min", [-13.3, CONFIG.gamma_min, -3.0, 2.0])
@pytest.mark.parametrize("pixel_map", ["centres", "ends"])
def test_reconstruction_is_the_decoder_s_surprise(pixel_map, gamma_min):
    """Beside a sum over all tokens, for noise from a part of a bin to the whole range."""
    config = CONFIG.model_copy(update={"gamma_min": gamma_min, "pixel_map": pixel_map})
    tokens, epsilon0, _ = noises(3)
    tokens[0, 0, 0, 0], tokens[1, 0, 0, 0] = 0, config.vocabulary - 1
    epsilon0[0, 0, 0, 0], epsilon0[1, 0, 0, 0] = -9.0, 9.0
    vocabulary, rho = config.vocabulary, math.exp(gamma_min / 2)
    expected = np.zeros(3)
    for row in range(3):
        for token, noise in zip(tokens[row].ravel(), epsilon0[row].ravel(), strict=True):
            places = tokens_to_data(torch.arange(vocabulary), config).numpy()
            log_weights = -0.5 * ((places[token] + rho * noise.item() - places) / rho) ** 2
            expected[row] += logsumexp(log_weights) - log_weights[token]
    found = reconstruction(model_of(gamma_min=gamma_min, pixel_map=pixel_map), tokens, epsilon0)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_prior_is_the_divergence_from_a_standard_normal():
    x0 = tokens_to_data(noises(3)[0], CONFIG)
    alpha, sigma = math.sqrt(expit(-CONFIG.gamma_max)), math.sqrt(expit(CONFIG.gamma_max))
    posterior = Independent(Normal(alpha * x0, sigma * torch.ones_like(x0)), 3)
    standard = Independent(Normal(torch.zeros_like(x0), torch.ones_like(x0)), 3)
    torch.testing.assert_close(prior(model_of(), x0), kl_divergence(posterior, standard))


def test_velocity_form_is_the_epsilon_form():
    """alpha^2 gamma' (v - v_hat)^2 / 2, from the network's raw output."""
    model = model_of(parameterisation="velocity")
    tokens, epsilon0, epsilon = noises(3)
    latent, t = top_k(torch.randn(3, 6).double(), 2), torch.tensor([0.1, 0.5, 0.9]).double()
    ours = negative_elbo(model, tokens, latent, torch.zeros(3, 6), t, epsilon0, epsilon)
    schedule = model.gamma(latent)
    noise, x0 = schedule.noise(t), tokens_to_data(tokens, CONFIG)
    x = noise.alpha * x0 + noise.sigma * epsilon
    predicted = model.score(x, schedule.network_time(noise.gamma), latent)
    error = noise.alpha * epsilon - noise.sigma * x0 - predicted
    velocity = 0.5 * (noise.alpha.square() * schedule.dgamma_dt(t) * error.square()).sum((1, 2, 3))
    torch.testing.assert_close(ours.diffusion, velocity, rtol=1e-10, atol=0)


def test_diffusion_term_of_a_known_network_is_an_integral_over_gamma():
    """With its last convolution at zero an epsilon network answers x itself. Then the term is, in
    each dimension, 0.5 integral of (1 - sigma)^2 + alpha^2 x0^2 d gamma, whatever the polynomial.
    """
    model, rows = model_of(), 4000
    model.score.conv_out.weight.data.zero_()
    model.score.conv_out.bias.data.zero_()
    tokens, epsilon0, epsilon = (leaf[:1].expand(rows, -1, -1, -1) for leaf in noises(1))
    draws = torch.Generator().manual_seed(9)
    epsilon = torch.randn(epsilon.shape, generator=draws, dtype=torch.float64)
    t = (torch.arange(rows, dtype=torch.float64) + 0.5) / rows
    latent = top_k(torch.arange(6.0).double().expand(rows, -1), 2)
    with torch.no_grad():
        terms = negative_elbo(model, tokens, latent, latent, t, epsilon0, epsilon)
    low, high = CONFIG.gamma_min, CONFIG.gamma_max
    shrink, _ = quad(lambda gamma: (1 - math.sqrt(expit(gamma))) ** 2, low, high)
    keep, _ = quad(lambda gamma: expit(-gamma), low, high)
    squares = tokens_to_data(tokens[0], CONFIG).square().sum().item()
    expected = 0.5 * (CONFIG.dimensions * shrink + keep * squares)
    error = terms.diffusion.std().item() / math.sqrt(rows)
    assert terms.diffusion.mean().item() == pytest.approx(expected, abs=4 * error)
    assert error < 0.02 * expected
    # The part at high noise is the same integral under its fade.
    part, _ = quad(lambda g: expit(g + 3) * (1 - math.sqrt(expit(g))) ** 2, low, high)
    kept, _ = quad(lambda g: expit(g + 3) * expit(-g), low, high)
    coarse = 0.5 * (CONFIG.dimensions * part + kept * squares)
    error = terms.coarse.std().item() / math.sqrt(rows)
    assert terms.coarse.mean().item() == pytest.approx(coarse, abs=4 * error)
    assert error < 0.02 * coarse < 0.02 * expected


@pytest.mark.parametrize("parameterisation", ["epsilon", "velocity", "velocity-from-epsilon"])
def test_gradient_reaches_every_parameter(parameterisation):
    model = model_of(parameterisation=parameterisation)
    tokens, epsilon0, epsilon = noises(4)
    logits = model.encoder(tokens_to_data(tokens, CONFIG))
    t = torch.tensor([0.1, 0.4, 0.6, 0.9]).double()
    terms = negative_elbo(model, tokens, relaxed_top_k(logits, 2), logits, t, epsilon0, epsilon)
    # The denoising term alone: what reaches the encoder has passed through the latent.
    terms.diffusion.mean().backward()
    silent = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().max() > 0
    ]
    # A bias on every key shifts all of a query's scores alike; softmax does not see it.
    assert [name for name in silent if not name.endswith("attn.k.bias")] == []
