"""Times and weights of few steps, learned through the solver."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.evaluation.samples.classifier import Classifier
from models.evaluation.samples.drawing import draw_samples
from models.evaluation.samples.sweep import Judge
from models.network.network import LinearSchedule, Network, NoEncoder
from models.runtimes.eager import eager_denoiser
from models.schema.mulan import MulanConfig
from models.schema.specs import Dpm2m, Dpm2mSde
from models.solvers import SAMPLERS
from models.tuning import learned
from models.tuning.learned import Lessons, StepWeights
from models.work.sampling import sample_problem
from models.work.solve import solve

CPU = torch.device("cpu")
# Of finite differences.
STEP = 2e-3


CONFIG = MulanConfig(
    image_shape=(2, 2, 1),
    vocabulary=16,
    parameterisation="velocity-from-epsilon",
    width=16,
    groups=4,
    latent_size=0,
    latent_k=0,
    gamma_min=-9,
    gamma_max=6,
)
# Every pixel is near one of these values.
VALUES, SPREAD = (-0.7, 0.1, 0.6), 0.1


class ExactScore(nn.Module):
    """The noise that is expected in x_t where the pixels are independent mixtures of Gaussians."""

    def __init__(self) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.tensor(VALUES))

    def forward(self, x: Tensor, s: Tensor, latent: Tensor) -> Tensor:
        gamma = (CONFIG.gamma_min + (CONFIG.gamma_max - CONFIG.gamma_min) * s)[:, None, None, None]
        alpha, sigma = torch.sigmoid(-gamma).sqrt(), torch.sigmoid(gamma).sqrt()
        variance = (alpha * SPREAD) ** 2 + sigma**2
        away = x[..., None] - alpha[..., None] * self.values
        shares = (-away.square() / (2 * variance[..., None])).softmax(-1)
        return sigma / variance * (shares * away).sum(-1)


class Exact(Network):
    """A network whose score is known."""

    def __init__(self) -> None:
        super().__init__(CONFIG, NoEncoder(), LinearSchedule(CONFIG), ExactScore())


class Features(Classifier):
    """The body of a classifier in float64."""

    def embedded(self, images: Tensor) -> Tensor:
        found: Tensor = self.body.double()(images.permute(0, 3, 1, 2).double() / 8 - 1)
        return found


@pytest.fixture(scope="module")
def model() -> Network:
    return Exact()


@pytest.fixture(scope="module")
def judge(model: Network) -> Judge:
    """It compares with what the model itself draws in many steps."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Features(CONFIG.image_shape, CONFIG.vocabulary, 3).eval()
    real = draw_samples(eager_denoiser(model), Dpm2m(steps=30), 256, 9, CPU).tokens
    return Judge.of(network, real)


def lessons(model: Network, judge: Judge, rounds: int = 1, batch: int = 6) -> Lessons:
    return Lessons(model, judge, rounds, batch, seed=0)


@pytest.mark.parametrize("start", [Dpm2m(steps=4), Dpm2mSde(steps=5, power=0.5)])
def test_learning_begins_at_the_grid_of_its_start(start: Any) -> None:
    left = 1 - torch.arange(start.steps + 1).double() / start.steps
    weights = StepWeights(start)
    torch.testing.assert_close(weights.times().detach(), left**start.power)
    assert weights.spec().extrapolation == (1,) * start.steps


def test_what_is_learned_draws_as_the_spec_that_says_so(model: Network, judge: Judge) -> None:
    """The columns with gradients give the images of the spec, whose numbers are rounded."""
    weights = StepWeights(Dpm2m(steps=4, power=0.7))
    with torch.no_grad():
        weights.gaps.add_(torch.tensor([0.3, -0.2, 0.1, 0.0]))
        weights.eta.add_(torch.tensor([0.1, 0.2, -0.3, 0.5]))
        weights.extrapolation.add_(torch.tensor([0.0, 0.2, -0.5, 1.5]))
    index = torch.arange(6)
    found = lessons(model, judge).draw(weights, index).detach()
    denoiser, spec = eager_denoiser(model), weights.spec()
    problem: Any = sample_problem(denoiser, spec, 0, index)
    sampler = SAMPLERS[spec.name]
    expected = sampler.sample(problem, solve(sampler, problem, denoiser)).x
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-3)


def test_the_gradient_is_that_of_finite_differences(
    model: Network, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By every number, through solver, network and features, in two chunks."""
    monkeypatch.setattr(learned, "CHUNK", 4)
    lesson, weights = lessons(model, judge), StepWeights(Dpm2m(steps=3, power=0.7))
    lesson.backward(weights, 0)
    for parameter in weights.parameters():
        slopes = parameter.grad
        assert slopes is not None
        for index, slope in enumerate(slopes.tolist()):
            ends = []
            for sign in 1, -1:
                with torch.no_grad():
                    parameter[index] += sign * STEP
                    ends.append(lesson.distance(lesson.draw(weights, torch.arange(6))))
                    parameter[index] -= sign * STEP
            numeric = float(ends[0] - ends[1]) / (2 * STEP)
            assert slope == pytest.approx(numeric, rel=0.02, abs=1e-5)


def test_learning_comes_nearer_and_leaves_the_network_alone(model: Network, judge: Judge) -> None:
    """From first-order steps on a bad grid, by a distance measured with other noise."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    start = Dpm2m(steps=3, power=2.5)
    found = lessons(model, judge, rounds=40, batch=64).learn(start)
    denoiser = eager_denoiser(model)
    near, far = (
        judge.kernel_distance(draw_samples(denoiser, spec, 256, 5, CPU).tokens).value
        for spec in (found, start)
    )
    assert near < 0.5 * far
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())
