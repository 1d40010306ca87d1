"""The model against a second implementation, in float64, over configurations of every kind."""

import numpy as np
import pytest
import torch
from golden import ELBO_CASES, to_chw, to_hwc
from numpy_mulan import NumpyMulan, Shape

from models.checkpoints import flax_names
from models.network.mulan import Mulan
from models.network.objective import negative_elbo
from models.schema.mulan import MulanConfig

KINDS = ("epsilon", "velocity", "velocity-from-epsilon")
SMALL = {"image": (8, 8, 1), "groups": 4, "width": 16, "latent": 9, "k": 2, "hidden": 64}
SHAPES = {
    "official-names": Shape(**SMALL | {"image": (4, 4, 3), "hidden": 48, "groups": 8}),
    "attention": Shape(**SMALL | {"attention": True, "depth": 1}),
    "rgb": Shape(**SMALL | {"image": (6, 4, 3), "encoder_depth": 3, "width": 24, "groups": 8}),
    "vocabulary": Shape(**SMALL | {"vocabulary": 17, "gamma": (-7.9, 4.0)}),
    "narrow-schedule": Shape(**SMALL | {"hidden": 5, "k": 1}),
    "one-group": Shape(**SMALL | {"groups": 1, "depth": 3}),
    "fourier": Shape(**SMALL | {"fourier": (0, 2, 3)}),
    "no-fourier": Shape(**SMALL | {"fourier": ()}),
    "patch": Shape(**SMALL | {"patch": 2, "image": (8, 4, 3)}),
    "patch-and-attention": Shape(**SMALL | {"patch": 4, "attention": True}),
}


def config_of(shape, kind):
    return MulanConfig(
        image_shape=shape.image,
        vocabulary=shape.vocabulary,
        parameterisation=kind,
        width=shape.width,
        depth=shape.depth,
        encoder_depth=shape.encoder_depth,
        attention=shape.attention,
        latent_size=shape.latent,
        latent_k=shape.k,
        gamma_min=shape.gamma[0],
        gamma_max=shape.gamma[1],
        fourier=shape.fourier,
        groups=shape.groups,
        schedule_width=shape.hidden if shape.hidden != np.prod(shape.image) else None,
        patch=shape.patch,
    )


class Twins:
    """Both implementations with the same random weights, and inputs for them."""

    def __init__(self, shape, kind):
        draws = np.random.default_rng(7)
        leaves = {
            path: draws.standard_normal(size) / np.sqrt(np.prod(size[:-1]))
            if path.endswith("kernel")
            else 0.1 * draws.standard_normal(size) + path.endswith("scale")
            for path, size in shape.leaves().items()
        }
        self.numpy = NumpyMulan(shape, leaves)
        with torch.device("meta"):
            self.torch = Mulan(config_of(shape, kind))
        self.torch.load_state_dict(flax_names.state_dict(leaves), assign=True)
        self.torch.eval().requires_grad_(False)
        self.z, self.eps_0, self.eps = draws.standard_normal((3, 3, *shape.image))
        self.tokens = draws.integers(0, shape.vocabulary, (3, *shape.image))
        self.latent = np.stack([draws.permutation(shape.latent) < shape.k for _ in range(3)]) * 1.0
        self.t = np.array([0.03, 0.4, 0.98])


@pytest.fixture(params=SHAPES)
def twins(request):
    return Twins(SHAPES[request.param], "velocity")


def double(array):
    return torch.from_numpy(np.asarray(array, np.float64))


def agree(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-10)


def test_every_parameter_has_its_official_name(twins):
    """Loading is strict: no parameter is left over on either side."""
    official = twins.numpy.shape.leaves()
    assert len(official) == len(twins.torch.state_dict())
    ours = sum(parameter.numel() for parameter in twins.torch.parameters())
    assert ours == sum(np.prod(size) for size in official.values())


def test_encoder(twins):
    agree(twins.torch.encoder(to_chw(twins.z, torch.float64)), twins.numpy.encode(twins.z))


def test_schedule(twins):
    schedule = twins.torch.gamma(double(twins.latent))
    gamma, slope = twins.numpy.gamma(twins.latent, twins.t)
    agree(to_hwc(schedule.gamma(double(twins.t))), gamma)
    agree(to_hwc(schedule.dgamma_dt(double(twins.t))), slope)
    for end, t in enumerate((0.0, 1.0)):
        agree(schedule.gamma(double([t] * 3)), twins.numpy.shape.gamma[end])


def test_score_network(twins):
    low, high = twins.numpy.shape.gamma
    g = low + (high - low) * np.array([0.0, 0.37, 1.0])
    s = double((g - low) / (high - low))
    out = twins.torch.score(to_chw(twins.z, torch.float64), s, double(twins.latent))
    agree(to_hwc(out), twins.numpy.score(twins.z, g, twins.latent))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["official-names", "attention", "vocabulary", "patch"])
def test_bound(name, kind):
    twins = Twins(SHAPES[name], kind)
    logits = np.random.default_rng(1).standard_normal(twins.latent.shape)
    ours = negative_elbo(
        twins.torch,
        to_chw(twins.tokens, torch.int64),
        double(twins.latent),
        double(logits),
        double(twins.t),
        to_chw(twins.eps_0, torch.float64),
        to_chw(twins.eps, torch.float64),
    )
    theirs = twins.numpy.elbo(
        twins.tokens, twins.latent, logits, twins.t, twins.eps_0, twins.eps, kind
    )
    terms = (ours.reconstruction, ours.prior, ours.diffusion, ours.latent)
    for mine, other in zip(terms, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10)


def test_parameterisations_differ():
    """The three readings of one network must not agree by accident."""
    twins = Twins(SHAPES["attention"], "epsilon")
    x, noise = to_chw(twins.z, torch.float64), twins.torch.gamma(double(twins.latent))
    answers = {}
    for kind in KINDS:
        twins.torch.config = config_of(SHAPES["attention"], kind)
        answers[kind] = twins.torch.epsilon(
            x, noise.noise(double(twins.t)), double(twins.t), double(twins.latent)
        )
    # Near t = 0 the two readings coincide.
    assert (answers["epsilon"] - answers["velocity"])[1:].abs().amax((1, 2, 3)).min() > 0.1
    assert torch.equal(answers["epsilon"], answers["velocity-from-epsilon"])


@pytest.mark.golden
@pytest.mark.parametrize("reference", [f"{case}-float64" for case in ELBO_CASES], indirect=True)
def test_the_second_implementation_is_the_official_one(reference):
    """So that a clone without the official outputs is still held to them, by proxy."""
    case, config = reference.case, reference.case.config
    shape = Shape(
        depth=config.depth, encoder_depth=config.encoder_depth, attention=config.attention
    )
    port, inputs = NumpyMulan(shape, case.leaves), case.inputs
    latent = case.outputs["net_embedding"].astype(np.float64)
    logits = port.encode(2 * (inputs["images"] + 0.5) / 256 - 1)
    reference.check("logits", logits)
    embeddings = case.outputs["gamma_embeddings"].astype(np.float64)[[0, 3]]
    gamma, slope = port.gamma(embeddings, np.full(2, inputs["t_values"][3], np.float64))
    reference.check("gamma", gamma.reshape(2, -1), 3)
    reference.check("dgamma", slope.reshape(2, -1), 3)
    g = np.full(2, inputs["g_values"][3], np.float64)
    reference.check("net_out", port.score(inputs["z"].astype(np.float64), g, latent), 3)
    t = (np.arange(4) / 4 + float(inputs["vlb_t0"])) % 1
    chosen = case.outputs["topk_embedding"].astype(np.float64)
    noise = (inputs[name].astype(np.float64) for name in ("vlb_eps_0", "vlb_eps"))
    terms = port.elbo(inputs["images"], chosen, logits, t, *noise, config.parameterisation)
    reconstruction, prior, diffusion, kl = terms
    reference.check("vlb0_loss_recon", reconstruction)
    reference.check("vlb0_loss_klz", prior + kl)
    reference.check("vlb0_loss_diff", diffusion)
