"""The terms of the bound with the official noise, against the official implementation's."""

import math

import pytest
import torch
from golden import ELBO_CASES

from models.network.encoder import categorical_kl, official_noise, top_k
from models.network.objective import negative_elbo
from models.network.pixels import tokens_to_data

pytestmark = [
    pytest.mark.golden,
    pytest.mark.parametrize(
        "reference",
        [f"{case}-{precision}" for case in ELBO_CASES for precision in ("float64", "float32")],
        indirect=True,
    ),
]


@pytest.fixture
def elbo(reference):
    """The bound of the four images, the logits perturbed by what is asked."""
    config, inputs = reference.model.config, reference.case.inputs
    tokens = reference.images("images")
    logits = reference.model.encoder(tokens_to_data(tokens, config).to(reference.dtype))
    t = (torch.arange(4, dtype=torch.float64) / 4 + float(inputs["vlb_t0"])) % 1

    def estimate(noise):
        latent = top_k(logits + noise, config.latent_k)
        terms = negative_elbo(
            reference.model,
            tokens,
            latent,
            logits,
            t.to(reference.dtype),
            reference.images("vlb_eps_0"),
            reference.images("vlb_eps"),
        )
        return latent, terms

    reference.check("vlb_t", t)
    reference.check("vlb_kl_z", categorical_kl(logits))
    return estimate


def check_terms(reference, prefix, terms):
    reference.check(f"{prefix}_loss_recon", terms.reconstruction)
    reference.check(f"{prefix}_loss_klz", terms.prior + terms.latent)
    reference.check(f"{prefix}_loss_diff", terms.diffusion)
    bits = reference.model.config.dimensions * math.log(2)
    reference.check(f"{prefix}_bpd", (terms.total.double().mean() / bits))


def test_bound_with_perturbed_latent(reference, elbo):
    gammas = torch.from_numpy(reference.case.inputs["vlb_gamma_noise"]).to(reference.dtype)
    noise = official_noise(gammas, reference.model.config.latent_k)
    reference.check("vlb_gamma_noise_s", noise)
    latent, terms = elbo(noise)
    # Recorded through the straight-through sum, hence 0 or 1 only up to rounding.
    assert torch.equal(
        latent.float(), torch.from_numpy(reference.case.outputs["vlb_embedding"]).round()
    )
    check_terms(reference, "vlb", terms)


def test_bound_with_the_served_latent(reference, elbo):
    """`vlb0`: Gamma draws of zero shift all logits alike."""
    _, terms = elbo(0.0)
    check_terms(reference, "vlb0", terms)


def test_scales_at_the_ends(reference):
    config = reference.model.config
    schedule = reference.model.gamma(reference.latents("net_embedding"))
    for name, t in (("vlb_var_0", 0), ("vlb_var_1", 1)):
        sigma = schedule.noise(reference.times(t, 2)).sigma
        reference.check(name, sigma.square().mean())
    assert config.log_sigma0 == pytest.approx(math.log(reference.case.expected("vlb_var_0")) / 2)
