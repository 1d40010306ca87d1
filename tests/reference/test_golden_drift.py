"""The probability-flow drift, its divergence and its pull-back, as served, against the official."""

import numpy as np
import pytest
import torch
from golden import CASES, to_chw, to_hwc

from models.rows.rows import Query
from models.runtimes.eager import eager_denoiser

pytestmark = [
    pytest.mark.golden,
    pytest.mark.parametrize(
        "reference",
        [f"{case}-{precision}" for case in CASES for precision in ("float64", "float32")],
        indirect=True,
    ),
]


class Flow:
    """dx/dt = gamma' sigma (eps - sigma x) / 2, and its Jacobian's transpose."""

    def __init__(self, reference):
        self.x = reference.images("z")
        self.denoiser = eager_denoiser(reference.model, quantum=1)
        self.condition = self.denoiser.condition(reference.latents("net_embedding"))

    def __call__(self, t, cotangent):
        """Drift and J^T v, both `[2, H, W, C]`."""
        schedule = self.condition.schedule
        sigma = schedule.noise(t).sigma
        weight = 0.5 * schedule.dgamma_dt(t) * sigma
        # J = weight (d eps / d x - sigma): the network pulls back the weighted cotangent.
        cotangents = (weight * cotangent).to(self.x)[:, None]
        answer = self.denoiser.evaluate(Query(self.x, t, cotangents), self.condition)
        drift = weight * (answer.eps - sigma * self.x)
        pulled = answer.vjps[:, 0] - weight * sigma * cotangent
        return to_hwc(drift), to_hwc(pulled)


def test_drift_divergence_and_pull_back(reference):
    flow = Flow(reference)
    probe = reference.case.inputs["ode_rademacher"][0]
    for index, t in enumerate(reference.case.inputs["t_values"]):
        drift, pulled = flow(reference.times(t, 2), to_chw(probe, torch.float64))
        reference.check("drift", drift, index)
        reference.check("div", np.sum(probe * pulled, axis=(1, 2, 3)), index)
        if index == 2:
            reference.check("drift_vjp_t2", pulled)
