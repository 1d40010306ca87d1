"""The Python API, as its documentation shows it, against the official implementation."""

import numpy as np
import pytest
import torch
from golden import ELBO_CASES, Reference

from models.loaded import LoadedCheckpoint

pytestmark = [
    pytest.mark.golden,
    pytest.mark.parametrize(
        "reference",
        [f"{case}-{precision}" for case in ELBO_CASES for precision in ("float64", "float32")],
        indirect=True,
    ),
]


def test_all_of_it(reference: Reference) -> None:
    precision = "float64" if reference.dtype == torch.float64 else "float32"
    model = LoadedCheckpoint(reference.model, precision)
    given, outputs = reference.case.inputs, reference.case.outputs
    images, z, latent = given["images"], given["z"], outputs["net_embedding"]
    reference.check("logits", model.logits(images))
    reference.check("kl", model.latent_kl(images))
    np.testing.assert_array_equal(model.latent(images), outputs["topk_embedding"])
    np.testing.assert_array_equal(model.encode(images).astype(np.float32), outputs["encoded"])
    for index, t in enumerate(given["t_values"]):
        gamma = model.schedule(outputs["gamma_embeddings"][[0, 3]], t).gamma
        reference.check("gamma", gamma.reshape(2, -1), index)
        reference.check("drift", model.drift(z, t, latent), index)
    for index, g in enumerate(given["g_values"]):
        reference.check("net_out", model.network(z, g, latent), index)
    probes = given["ode_rademacher"][0]
    reference.check("drift_vjp_t2", model.pull_back(z, given["t_values"][2], latent, probes))
    if reference.case.name != "vfe_e64":  # whose steps the official code takes as a velocity's
        times = np.float32(0.588), np.float32(0.587)
        step = model.ancestral_step(z, *times, latent, given["step_eps"])
        reference.check("step_z_s", step)
    noise = given["vlb_eps_0"], given["vlb_eps"]
    times = reference.case.expected("vlb_t")
    terms = model.elbo(images, times, *noise, outputs["vlb_embedding"].round())
    reference.check("vlb_loss_recon", terms.reconstruction)
    reference.check("vlb_loss_klz", terms.prior + terms.latent)
    reference.check("vlb_loss_diff", terms.diffusion)
