"""The shipped checkpoint on a CUDA device: `make test-gpu`. A machine without one fails here."""

import pytest
import torch

from models.checkpoints.checkpoint import load_checkpoint
from models.network.pixels import data_to_tokens
from models.rows.rows import take
from models.runtimes.cuda_graph import cuda_graph_runtime
from models.runtimes.denoiser import NetworkDenoiser
from models.runtimes.eager import EagerRuntime
from models.schema.specs import Adams, Ddpm
from models.solvers import SAMPLERS
from models.solvers.adams import AdamsSolver
from models.work.likelihood import score_problem, summarise
from models.work.sampling import sample_problem
from models.work.solve import solve
from models.zoo import ZOO
from service.loading import device_memory, load_models

pytestmark = pytest.mark.gpu
CUDA, CPU = torch.device("cuda"), torch.device("cpu")


def _denoiser(device: torch.device) -> NetworkDenoiser:
    loaded = {model.manifest.name: model for model in load_models(ZOO, device)}
    denoiser = loaded["digits"].served.denoiser
    assert isinstance(denoiser, NetworkDenoiser)
    return denoiser


def _images(denoiser: NetworkDenoiser, index: torch.Tensor) -> torch.Tensor:
    spec = Ddpm(steps=20)
    problem = sample_problem(denoiser, spec, 3, index)
    solver = SAMPLERS[spec.name]
    x = solver.sample(problem, solve(solver, problem, denoiser)).x
    return data_to_tokens(x, denoiser.config)


def test_an_image_is_the_same_alone_and_among_64() -> None:
    denoiser = _denoiser(CUDA)
    many = _images(denoiser, torch.arange(64, device=CUDA))
    alone = _images(denoiser, torch.tensor([40], device=CUDA))
    assert torch.equal(many[40], alone[0])


def test_images_and_scores_agree_with_the_cpu() -> None:
    tokens = _images(_denoiser(CPU), torch.arange(16))
    on_gpu = _images(_denoiser(CUDA), torch.arange(16, device=CUDA)).cpu()
    assert (tokens != on_gpu).float().mean() < 0.01
    bounds = []
    for device in (CPU, CUDA):
        denoiser = _denoiser(device)
        spec = Adams(tolerance_nats=0.01)
        problem = score_problem(denoiser, tokens.to(device), spec, 0, 1)
        density = AdamsSolver().density(problem, solve(AdamsSolver(), problem, denoiser))
        rows = torch.arange(len(tokens), device=device).split(1)
        scores = [summarise(denoiser.config, take(density, row), spec) for row in rows]
        bounds.append([score.log_px_lower_bound for score in scores])
    assert bounds[0] == pytest.approx(bounds[1], abs=0.05)


def test_its_memory_is_told() -> None:
    _denoiser(CUDA)
    memory = device_memory()[0]
    assert memory.device == "cuda:0"
    assert 0 < memory.allocated <= memory.reserved


@pytest.mark.parametrize("rows", [1, 16, 40, 128, 200])
def test_graphs_answer_as_the_modules_do_and_keep_no_answer(rows: int) -> None:
    model = load_checkpoint(ZOO / "digits", CUDA).model
    graphs, eager, config = cuda_graph_runtime(model), EagerRuntime(model), model.config
    latent = torch.zeros(rows, config.latent_size, device=CUDA)
    latent[:, : config.latent_k] = 1.0
    asked = torch.randn(rows, *config.chw, device=CUDA), torch.rand(rows, device=CUDA), latent
    cotangents = torch.randn(rows, 2, *config.chw, device=CUDA)
    first = graphs.score(*asked), *graphs.score_and_pull(*asked, cotangents)
    kept = [answer.clone() for answer in first]
    graphs.score(-asked[0], *asked[1:])
    graphs.score_and_pull(-asked[0], *asked[1:], cotangents)
    assert all(map(torch.equal, first, kept))
    expected = eager.score(*asked), *eager.score_and_pull(*asked, cotangents)
    for found, other in zip(first, expected, strict=True):
        assert (found - other).abs().max() < 1e-5 * other.abs().max()
