"""Encoder, schedule and score network against the official implementation's outputs."""

import numpy as np
import pytest
import torch
from golden import CASES, to_hwc

from models.network.encoder import categorical_kl, top_k
from models.network.pixels import tokens_to_data

pytestmark = [
    pytest.mark.golden,
    pytest.mark.parametrize(
        "reference",
        # The weights of the other two are those of vel_e64.
        [
            f"{case}-{precision}"
            for case in CASES
            if case not in ("eps_e64", "vfe_e64")
            for precision in ("float64", "float32")
        ],
        indirect=True,
    ),
]


def test_encoder(reference):
    config = reference.model.config
    x = tokens_to_data(reference.images("images"), config)
    np.testing.assert_array_equal(to_hwc(x).astype(np.float32), reference.case.outputs["encoded"])
    logits = reference.model.encoder(x.to(reference.dtype))
    reference.check("logits", logits)
    latent = top_k(logits, config.latent_k)
    np.testing.assert_array_equal(latent, reference.case.outputs["topk_embedding"])
    for name in ("kl", "kl_model"):
        reference.check(name, categorical_kl(logits))


def features(images):
    """In the official order: row, column, channel."""
    return to_hwc(images).reshape(len(images), -1)


def test_schedule(reference):
    schedule = reference.model.gamma(reference.latents("gamma_embeddings"))
    for name in ("gamma", "dgamma"):
        call = schedule.gamma if name == "gamma" else schedule.dgamma_dt
        for index, t in enumerate(reference.case.inputs["t_values"]):
            values = features(call(reference.times(t, 6)))
            reference.check(name, values[[0, 3]], index)
            reference.check(f"{name}_head", values[:, :16], index)
            for statistic in ("mean", "std", "min", "max"):
                reference.check(f"{name}_{statistic}", getattr(values, statistic)(1), index)


def test_schedule_coefficients(reference):
    latents = reference.latents("gamma_embeddings")
    for name, image in zip("abc", reference.model.gamma.coefficients(latents), strict=True):
        values = features(image)
        reference.check(f"coef_{name}", values[[0, 3]])
        reference.check(f"coef_{name}_sum", values.sum(1))
        reference.check(f"coef_{name}_std", values.std(1))


def test_score_network(reference):
    """Each time input alone, and two different ones in one batch."""
    config, inputs = reference.model.config, reference.case.inputs
    x, latent = reference.images("z"), reference.latents("net_embedding")
    g = torch.from_numpy(inputs["g_values"]).to(torch.float64)
    s = ((g - config.gamma_min) / (config.gamma_max - config.gamma_min)).to(reference.dtype)
    for index in range(len(s)):
        out = reference.model.score(x, s[index].expand(2), latent)
        reference.check("net_out", to_hwc(out), index)
    out = reference.model.score(x, s[[1, 3]], latent)
    expected = reference.case.outputs["net_out_mixed_g"]
    np.testing.assert_allclose(to_hwc(out), expected, rtol=0, atol=1e-4)
