"""The architecture's configuration: its bounds and the numbers it implies."""

import json
import math
from math import comb

import pytest
import torch
from pydantic import ValidationError
from scipy.special import expit

from models.network.mulan import Mulan
from models.schema.manifest import MANIFEST, read_manifest
from models.schema.mulan import MulanConfig
from models.zoo import ZOO

# What the official repository configures, and the sizes it reports for one of its networks.
OFFICIAL_SCORE_PARAMETERS = 30_600_000
OFFICIAL_SCHEDULE_PARAMETERS = 37_900_000


def test_defaults_are_the_official_network():
    with torch.device("meta"):
        model = Mulan(MulanConfig())
    score = sum(parameter.numel() for parameter in model.score.parameters())
    schedule = sum(parameter.numel() for parameter in model.gamma.parameters())
    assert score == pytest.approx(OFFICIAL_SCORE_PARAMETERS, rel=2e-3)
    assert schedule == pytest.approx(OFFICIAL_SCHEDULE_PARAMETERS, rel=2e-3)


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        ({"latent_k": 50}, "latent_k 50"),
        ({"latent_k": 0}, "latent_k 0"),
        ({"latent_size": 0}, "latent_k 15"),
        ({"latent_size": 1, "latent_k": 0}, "latent_k 0"),
        ({"latent_size": 2, "latent_k": 2}, "latent_k 2"),
        ({"gamma_min": 5.0}, "gamma_min"),
        ({"gamma_min": math.nan}, "gamma_min"),
        ({"gamma_max": math.inf}, "gamma_max"),
        ({"width": 48}, "width 48"),
        ({"width": 33, "groups": 1}, "width 33"),
        ({"patch": 3}, "patch 3"),
        ({"patch": 2, "image_shape": (32, 31, 3)}, "32x31"),
        ({"patch": 2, "image_shape": (31, 32, 3)}, "31x32"),
        ({"coarse_width": 32, "image_shape": (32, 31, 3)}, "32x31"),
        ({"coarse_width": 48}, "width 48"),
        ({"coarse_width": -32}, "coarse_width"),
        ({"coarse_width": 32, "patch": 32}, "coarse stage"),
        ({"vocabulary": 257}, "vocabulary"),
        ({"vocabulary": 1}, "vocabulary"),
        ({"image_shape": (32, 0, 3)}, "image_shape"),
        ({"image_shape": (32, 32)}, "image_shape"),
        ({"fourier": (1000,)}, "fourier"),
        ({"dropout": 1.0}, "dropout"),
        ({"depth": 0}, "depth"),
        ({"depth": 10**8}, "depth"),
        ({"encoder_depth": 10**8}, "encoder_depth"),
        ({"width": 10**9, "groups": 2}, "width"),
        ({"coarse_width": 10**9, "groups": 2}, "coarse_width"),
        ({"width": 4096}, "parameters are asked for"),
        ({"image_shape": (10**9, 10**9, 1)}, "image_shape"),
        ({"image_shape": (4, 4, 10**9)}, "image_shape"),
        ({"image_shape": (4096, 4096, 1), "patch": 64}, "values an image"),
        ({"image_shape": (256, 256, 1)}, "positions an image"),
        ({"image_shape": (128, 128, 3)}, "parameters are asked for"),
        ({"latent_size": 10**9}, "latent_size"),
        ({"schedule_width": 10**12}, "schedule_width"),
        ({"groups": 10**12}, "groups"),
        ({"patch": 10**12}, "patch"),
        ({"gamma_min": -1e308}, "gamma_min"),
        ({"gamma_max": 1e308}, "gamma_max"),
        ({"time_scale": 1e308}, "time_scale"),
        ({"fourier": (1,) * 1000}, "fourier"),
        ({"parameterisation": "v"}, "parameterisation"),
        ({"with_attention": True}, "with_attention"),
    ],
)
def test_nonsense_is_refused(options, culprit):
    with pytest.raises(ValidationError, match=culprit):
        MulanConfig(**options)


def test_derived_numbers():
    config = MulanConfig(image_shape=(8, 4, 3), latent_size=9, latent_k=2, gamma_min=-7.9)
    assert config.dimensions == 96
    assert config.chw == (3, 8, 4)
    assert config.log_latents == pytest.approx(math.log(comb(9, 2)))
    assert config.log_alpha0 == pytest.approx(0.5 * math.log(expit(7.9)))
    assert config.log_sigma0 == pytest.approx(0.5 * math.log(expit(-7.9)))


def test_bytes_are_those_of_before_there_was_a_choice_of_architecture():
    """The weights file holds them: another order would be another identity."""
    names = list(MulanConfig().model_dump())
    assert names == [
        *("image_shape", "vocabulary", "parameterisation", "width", "depth", "encoder_depth"),
        *("attention", "dropout", "latent_size", "latent_k", "gamma_min", "gamma_max", "fourier"),
        *("fourier_fade", "time_scale", "schedule_width", "residual", "groups", "patch"),
        "coarse_width",
    ]
    assert list(json.loads(MulanConfig().model_dump_json())) == names


def test_the_tag_may_be_given_and_is_not_written():
    assert MulanConfig(architecture="mulan") == MulanConfig()
    with pytest.raises(ValidationError, match="architecture"):
        MulanConfig(architecture="vdm")


@pytest.mark.parametrize("name", ["digits", "mnist", "fashion-mnist"])
def test_shipped_manifests_are_written_as_they_were(name):
    written = (ZOO / name / MANIFEST).read_text()
    assert read_manifest(ZOO / name).model_dump_json(indent=2) + "\n" == written


def test_survives_json():
    config = MulanConfig(image_shape=(8, 8, 1), fourier=(), schedule_width=7, patch=2)
    assert MulanConfig.model_validate_json(config.model_dump_json()) == config
