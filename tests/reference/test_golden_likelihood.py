"""The official likelihood estimator, on the official noise."""

import math

import numpy as np
import pytest
import torch
from golden import Reference, to_chw, to_hwc

from models.evaluation.likelihood.paper import (
    ENTROPY_DEFICIT,
    LOG_SIGMA_0,
    Flow,
    PaperDraw,
    paper_bits,
    paper_draw,
    paper_kl,
    paper_sample,
)
from models.network.pixels import tokens_to_data
from models.runtimes.eager import eager_denoiser

pytestmark = pytest.mark.golden
PAIR = 2
ONE_DRAW = 0.5 * (1 + math.log(2 * math.pi)) - ENTROPY_DEFICIT


def cases(*names: str, precision: str) -> pytest.MarkDecorator:
    parameters = [f"{name}-{precision}" for name in names]
    return pytest.mark.parametrize("reference", parameters, indirect=True)


class Official:
    """The first two images of a case with its noise."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.inputs, self.outputs = reference.case.inputs, reference.case.outputs
        self.denoiser = eager_denoiser(reference.model, quantum=1)
        self.tokens = to_chw(self.inputs["images"][:PAIR], torch.uint8)

    def draw(self, number: int, **options: object) -> PaperDraw:
        noise = to_chw(self.inputs["ode_u"][number], torch.float64)
        probes = to_chw(self.inputs["ode_rademacher"][number], torch.float64)
        return paper_draw(
            self.denoiser, self.tokens, noise, probes, dtype=self.reference.dtype, **options
        )

    def bits(self, draws: list[PaperDraw]) -> np.ndarray:
        kl = paper_kl(self.denoiser, self.tokens, self.reference.dtype)
        return paper_bits(draws, kl, self.denoiser.config.dimensions).numpy()


@cases("vel_e64", "eps_e64", precision="float64")
def test_replay_of_the_accepted_steps(reference: Reference) -> None:
    """The tight check: no luck of step control enters it."""
    official = Official(reference)
    found = official.draw(0, times=official.outputs["ode1e5_tsteps_draw0"])
    for name, value in (
        ("log_p", found.log_p),
        ("prior_logp", found.prior),
        ("delta_logp", found.delta),
        ("log_q", found.log_q),
    ):
        expected = official.outputs[f"ode1e5replay_{name}__f64"]
        np.testing.assert_allclose(value.numpy(), expected, rtol=0, atol=1e-4, err_msg=name)
    expected = official.outputs["ode1e5replay_z1__f64"]
    np.testing.assert_allclose(to_hwc(found.x1), expected, rtol=0, atol=1e-7)


@cases("vel_e64", "eps_e64", precision="float32")
def test_replay_in_single_precision(reference: Reference) -> None:
    official = Official(reference)
    found = official.draw(0, times=official.outputs["ode1e5_tsteps_draw0"])
    expected = official.outputs["ode1e5_log_p"][0]
    np.testing.assert_allclose(found.log_p.numpy(), expected, rtol=0, atol=0.05)


@cases("vel_e64", "eps_e64", "vfe_e64", precision="float64")
def test_where_a_solve_starts(reference: Reference) -> None:
    official = Official(reference)
    clean = tokens_to_data(official.tokens, reference.model.config)
    reference.check("ode_logits", official.denoiser.encode(clean))
    kl = paper_kl(official.denoiser, official.tokens, torch.float64)
    for aux in official.outputs["ode1e5_aux"]:
        np.testing.assert_allclose(kl.numpy(), aux, rtol=1e-4)
    x0 = clean + to_chw(official.inputs["ode_u"][0], torch.float64) * math.exp(-13.3 / 2)
    expected = official.outputs["ode_x0_draw0"]
    np.testing.assert_allclose(to_hwc(x0), expected, rtol=0, atol=1e-6)
    for name, constant in (("is1", ONE_DRAW), ("is2", 0.0), ("is4", 0.0)):
        if f"offset_{name}" in official.outputs:
            offset = -(constant + LOG_SIGMA_0) / math.log(2)
            assert official.outputs[f"offset_{name}"] == pytest.approx(offset, rel=1e-6)


@cases("vel_e64", "eps_e64", precision="float32")
def test_sampling_by_the_ode(reference: Reference) -> None:
    prior, latent = reference.images("odesample_prior"), reference.case.inputs["khot_random"]
    denoiser = eager_denoiser(reference.model, quantum=1)
    z0, nfe = paper_sample(denoiser, torch.from_numpy(latent).float(), prior)
    expected = reference.case.outputs["odesample_z0"]
    np.testing.assert_allclose(to_hwc(z0), expected, rtol=0, atol=2e-3 * np.abs(expected).max())
    assert nfe == pytest.approx(int(reference.case.outputs["odesample_nfev"]), rel=0.2)


@cases("vel_e64", "eps_e64", "vfe_e64", "attn_e64", "deg_e32", precision="float64")
def test_what_the_released_code_calls_high_precision(reference: Reference) -> None:
    x, latent = reference.images("z"), reference.latents("net_embedding")
    denoiser = eager_denoiser(reference.model, quantum=1)
    probes = to_chw(reference.case.inputs["ode_rademacher"][0], torch.float64)
    flow = Flow(denoiser, denoiser.condition(latent), probes, torch.float64, high_precision=True)
    for index, t in enumerate(reference.case.inputs["t_values"][:3]):
        drift, pulled = flow.drift(x, float(t))
        reference.check("drift_hp", to_hwc(drift), index)
        reference.check("div_hp", (pulled * probes).sum((1, 2, 3)), index)


@cases("vel_e64", "eps_e64", "vfe_e64", precision="float32")
def test_bits_from_the_recorded_draws(reference: Reference) -> None:
    """The constants: one draw, and several weighed by importance."""
    official, outputs = Official(reference), reference.case.outputs
    draws = [
        PaperDraw(
            *(torch.from_numpy(outputs[f"ode1e5_{part}"][number]).double() for part in PARTS),
            torch.empty(0),
            np.empty(0),
            0,
        )
        for number in range(len(outputs["ode1e5_log_p"]))
    ]
    for chosen, name in ((draws[:1], "is1"), (draws, f"is{len(draws)}")):
        expected = outputs[f"ode1e5_bpd_{name}_per_image"]
        np.testing.assert_allclose(official.bits(chosen), expected, rtol=0, atol=2e-5)


PARTS = ("prior_logp", "delta_logp", "log_q")


@pytest.mark.slow
@cases("vel_e64", "eps_e64", precision="float32")
def test_replay_of_a_tight_solve(reference: Reference) -> None:
    """About 2000 right-hand sides, on the steps that the official solve at 1e-7 accepted."""
    official = Official(reference)
    found = official.draw(0, times=official.outputs["ode1e7_tsteps_draw0"])
    expected = official.outputs["ode1e7_bpd_is1_per_image"]
    np.testing.assert_allclose(official.bits([found]), expected, rtol=0, atol=1e-4)


@pytest.mark.slow
@cases("vel_e64", precision="float32")
def test_a_tight_solve_of_our_own(reference: Reference) -> None:
    """Which steps are accepted hangs on the last bit: at 1e-7 the official solves in float32 and
    float64 are 4e-4 bits/dim apart themselves."""
    official = Official(reference)
    found = official.draw(0, tolerance=1e-7)
    for suffix in ("", "__f64"):
        expected = official.outputs[f"ode1e7_bpd_is1_per_image{suffix}"]
        np.testing.assert_allclose(official.bits([found]), expected, rtol=0, atol=4e-4)
