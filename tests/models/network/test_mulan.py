"""The networks as modules: parameterisations, options, decoding."""

import math

import numpy as np
import pytest
import torch

from models.network.encoder import top_k
from models.network.mulan import Mulan
from models.network.pixels import data_to_tokens, tokens_to_data
from models.network.unet import fourier_features
from models.schema.mulan import MulanConfig

SMALL = MulanConfig(
    image_shape=(8, 8, 3),
    vocabulary=17,
    width=16,
    depth=1,
    encoder_depth=1,
    groups=4,
    latent_size=6,
    latent_k=2,
    schedule_width=8,
    gamma_min=-7.9,
)


def randomised(config):
    model, draws = Mulan(config).double().eval(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=draws).double())
    return model.requires_grad_(False)


def inputs(rows=3):
    draws = torch.Generator().manual_seed(2)
    x = torch.randn(rows, 3, 8, 8, generator=draws, dtype=torch.float64)
    latent = (
        torch.eye(6, dtype=torch.float64)[:rows] + torch.eye(6, dtype=torch.float64)[1 : rows + 1]
    )
    return x, torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)[:rows], latent


def test_velocity_predicts_noise_and_data_that_agree():
    """eps = alpha v + sigma x and x0 = alpha x - sigma v, whence x = alpha x0 + sigma eps."""
    model, (x, t, latent) = randomised(SMALL), inputs()
    schedule = model.gamma(latent)
    noise = schedule.noise(t)
    network_time = schedule.network_time(noise.gamma)
    epsilon = model.epsilon(x, noise, network_time, latent)
    x0 = noise.alpha * x - noise.sigma * model.score(x, network_time, latent)
    torch.testing.assert_close(noise.alpha * x0 + noise.sigma * epsilon, x)


@pytest.mark.parametrize("parameterisation", ["epsilon", "velocity-from-epsilon"])
def test_the_others_predict_noise_itself(parameterisation):
    model = randomised(SMALL.model_copy(update={"parameterisation": parameterisation}))
    x, t, latent = inputs()
    noise = model.gamma(latent).noise(t)
    assert torch.equal(model.epsilon(x, noise, t, latent), model.score(x, t, latent))


@pytest.mark.parametrize("what", ["time", "latent"])
def test_conditioning_matters(what):
    model, (x, s, latent) = randomised(SMALL), inputs()
    other = (s.flip(0), latent) if what == "time" else (s, latent.flip(0))
    change = (model.score(x, s, latent) - model.score(x, *other)).abs().amax((1, 2, 3))
    # The middle row is the same either way round.
    assert change[1] == 0
    assert change[[0, 2]].min() > 1e-3


@pytest.mark.parametrize("patch", [2, 4])
def test_the_stem_is_cheaper_and_sees_the_whole_patch(patch):
    config = SMALL.model_copy(update={"patch": patch})
    model, (x, s, latent) = randomised(config), inputs(1)
    seen = []
    hook = model.score.trunk.conv_in.register_forward_hook(
        lambda _module, _inputs, output: seen.append(output.shape[2:])
    )
    base = model.score(x, s, latent)
    hook.remove()
    assert seen == [(8 // patch, 8 // patch)]
    for row, column in ((0, 0), (7, 7), (3, 5)):
        moved = x.clone()
        moved[..., row, column] += 0.3
        assert (model.score(moved, s, latent) - base - (moved - x)).abs().max() > 1e-6


@pytest.mark.parametrize("residual", [True, False])
def test_the_network_begins_at_x_or_at_nothing(residual):
    torch.manual_seed(0)
    model, (x, s, latent) = (
        Mulan(SMALL.model_copy(update={"residual": residual})).double(),
        inputs(),
    )
    assert torch.equal(model.score(x, s, latent), x if residual else torch.zeros_like(x))


def test_a_faded_feature_is_what_noise_leaves_of_it_on_average():
    faded = MulanConfig(fourier=(0, 2, 5), fourier_fade=True)
    plain = faded.model_copy(update={"fourier_fade": False})
    draws, s = torch.Generator().manual_seed(0), torch.tensor([0.0, 0.4, 0.6])
    x = 2 * torch.rand(3, 3, 2, 2, generator=draws) - 1
    gamma = faded.gamma_min + (faded.gamma_max - faded.gamma_min) * s
    sigma = torch.sigmoid(gamma).sqrt()[:, None, None, None]
    noisy = [x + sigma * torch.randn(x.shape, generator=draws) for _ in range(20_000)]
    mean = torch.stack([fourier_features(one, plain, s) for one in noisy]).mean(0)
    found = fourier_features(x, faded, s)
    torch.testing.assert_close(found[:, :3], x)
    torch.testing.assert_close(found, mean, rtol=0, atol=0.03)
    assert (found - fourier_features(x, plain, s)).abs().max() > 0.5


def test_the_coarse_stage_begins_as_nothing_and_works_at_half_the_resolution():
    config = SMALL.model_copy(update={"coarse_width": 12, "patch": 2})
    torch.manual_seed(0)
    model, (x, s, latent) = Mulan(config).double(), inputs()
    stage, seen = model.score.coarse, []
    stage.mid1.register_forward_hook(lambda _m, _i, output: seen.append(output.shape[1:]))
    h = torch.randn(3, 16, 4, 4, dtype=torch.float64)
    condition = torch.randn(3, 64, dtype=torch.float64)
    assert torch.equal(stage(h, condition), h)
    assert seen == [(12, 2, 2)]
    model.score(x, s, latent)
    assert len(seen) == 2


@pytest.mark.parametrize("where", ["x", "condition"])
def test_the_coarse_stage_sees_every_place_and_the_condition(where):
    config = SMALL.model_copy(update={"coarse_width": 12})
    stage = randomised(config).score.coarse
    h = torch.randn(1, 16, 8, 8, dtype=torch.float64)
    condition = torch.randn(1, 64, dtype=torch.float64)
    base = stage(h, condition)
    if where == "condition":
        assert (stage(h, condition + 0.1) - base).abs().min() > 0
        return
    for row, column in ((0, 0), (7, 7), (3, 4)):
        moved = h.clone()
        moved[..., row, column] += 0.3
        change = (stage(moved, condition) - base - (moved - h)).abs()
        # Attention carries it to the far corner too.
        assert change[..., 7 - row, 7 - column].max() > 0


def test_dropout_is_for_training_only():
    model, (x, s, latent) = randomised(SMALL), inputs()
    assert torch.equal(model.score(x, s, latent), model.score(x, s, latent))
    model.train()
    torch.manual_seed(0)
    assert not torch.equal(model.score(x, s, latent), model.score(x, s, latent))


@pytest.mark.parametrize("vocabulary", [2, 17, 256])
def test_tokens_survive_encoding_and_the_noise_of_their_bin(vocabulary):
    config = SMALL.model_copy(update={"vocabulary": vocabulary})
    tokens = torch.arange(vocabulary, dtype=torch.uint8)
    centres = tokens_to_data(tokens, config)
    assert centres.diff().numpy() == pytest.approx(2 / vocabulary)
    assert centres[0].item() == pytest.approx(-1 + 1 / vocabulary)
    for shift in (-0.99, 0, 0.99):
        x = math.exp(config.log_alpha0) * (centres + shift / vocabulary)
        np.testing.assert_array_equal(data_to_tokens(x, config), tokens)
    ends = data_to_tokens(torch.tensor([-9.0, 9.0]), config)
    assert ends.tolist() == [0, vocabulary - 1]


@pytest.mark.parametrize("vocabulary", [2, 17, 256])
def test_tokens_from_one_end_to_the_other(vocabulary):
    config = SMALL.model_copy(update={"vocabulary": vocabulary, "pixel_map": "ends"})
    tokens = torch.arange(vocabulary, dtype=torch.uint8)
    places = tokens_to_data(tokens, config)
    if vocabulary == 256:
        np.testing.assert_allclose(places, np.arange(256) / 127.5 - 1, atol=1e-15)
    assert [places[0].item(), places[-1].item()] == [-1, 1]
    for shift in (-0.99, 0, 0.99):
        x = math.exp(config.log_alpha0) * (places + shift / (vocabulary - 1))
        np.testing.assert_array_equal(data_to_tokens(x, config), tokens)
    ends = data_to_tokens(torch.tensor([-9.0, 9.0]), config)
    assert ends.tolist() == [0, vocabulary - 1]


def test_without_a_latent_gamma_is_linear_and_the_same_everywhere():
    config = SMALL.model_copy(update={"latent_size": 0, "latent_k": 0})
    model = randomised(config)
    schedule = model.gamma(torch.zeros(3, 0, dtype=torch.float64))
    for time in (0.0, 0.3, 1.0):
        gamma = schedule.gamma(torch.full((3,), time, dtype=torch.float64))
        line = config.gamma_min + time * (config.gamma_max - config.gamma_min)
        torch.testing.assert_close(gamma, torch.full_like(gamma, line))
    assert not [name for name in model.state_dict() if not name.startswith("score.")]
    assert config.log_latents == 0


def test_with_one_latent_gamma_differs_between_pixels_and_not_between_images():
    config = SMALL.model_copy(update={"latent_size": 1, "latent_k": 1})
    model = randomised(config)
    images = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(3)).double()
    latent = top_k(model.encoder(images), config.latent_k)
    gamma = model.gamma(latent).gamma(torch.full((5,), 0.5, dtype=torch.float64))
    torch.testing.assert_close(gamma, gamma[:1].expand_as(gamma))
    assert gamma[0].std() > 0.01
    assert not [name for name in model.state_dict() if name.startswith("encoder.")]
    assert config.log_latents == 0


def test_half_precision_does_not_reach_the_schedule():
    model, (x, t, latent) = randomised(SMALL).float(), (part.float() for part in inputs())
    exact = model.gamma(latent)
    with torch.autocast("cpu", torch.bfloat16):
        for half, full in zip(model.gamma(latent), exact, strict=True):
            assert torch.equal(half, full)
        coarse = model.score(x, t, latent)
    assert not torch.equal(coarse, model.score(x, t, latent))
