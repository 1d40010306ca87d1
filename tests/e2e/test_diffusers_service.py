"""A model of diffusers from its folder to samples, likelihoods and verdicts over HTTP."""

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from diffusers import DDPMScheduler, UNet2DModel

from loadtests.local import running_service
from models.cli import models
from models.schema.specs import sampler_spec
from models.solvers import SAMPLERS

pytestmark = pytest.mark.xdist_group("service")
TIMEOUT_S = 120.0
# The import of diffusers alone takes seconds.
READY_S = 240.0


def save_pipeline(folder: Path) -> None:
    """Save a network of colour images whose predictions are small, so that its ODE is smooth."""
    torch.manual_seed(0)
    network = UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
    )
    with torch.no_grad():
        network.conv_out.weight *= 0.1
    network.save_pretrained(folder / "unet")
    DDPMScheduler().save_pretrained(folder / "scheduler")


def command(*words: object) -> str:
    result = CliRunner().invoke(models, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def test_samples_likelihoods_and_verdicts(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    save_pipeline(Path("ddpm"))
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), np.uint8)
    np.save("normal.npy", images)
    command("import", "--diffusers", "ddpm", "--name", "tiny", "--out", "tiny")
    command("calibrate", "tiny", "--normal", "normal.npy", "--threads", 1)
    with (
        running_service(
            *("--models", "tiny", "--threads", "1"), log=tmp_path / "log", ready_within_s=READY_S
        ) as address,
        httpx.Client(base_url=address, timeout=TIMEOUT_S) as client,
    ):
        described = client.get("/v1/models/tiny").json()
        assert "/eager/" in described["runtime"]
        assert described["latent"] == {"n": 0, "k": 0}
        for name in SAMPLERS:
            solver: Any = {"name": name} | ({"segments": 2} if "rtk" in name else {"steps": 2})
            body = {"model": "tiny", "count": 2, "seed": 1, "solver": solver}
            answer = client.post("/v1/samples", json=body)
            assert answer.status_code == 200, answer.text
            first, second = answer.json()["images"]
            spec = sampler_spec(**solver)
            assert first["nfe"] == second["nfe"] == spec.evaluations + 1
            again = client.post("/v1/samples", json=body | {"count": 1})
            assert again.json()["images"] == [first], "a neighbour changed the image"
        np.save("two.npy", images[:2])
        headers = {"Content-Type": "application/x-npy"}
        sent: Any = {"content": Path("two.npy").read_bytes(), "headers": headers}
        query = {"model": "tiny", "tolerance_nats": 5}
        scores = client.post("/v1/likelihoods", params=query, **sent).json()["results"]
        assert [score["status"] for score in scores] == ["ok", "ok"]
        assert all(score["terms"]["latent"] == 0 for score in scores)
        query = {"model": "tiny", "alpha": 0.2}
        verdicts = client.post("/v1/anomalies", params=query, **sent).json()["results"]
        assert [verdict["status"] for verdict in verdicts] == ["ok", "ok"]
