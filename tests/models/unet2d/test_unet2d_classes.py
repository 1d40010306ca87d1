"""Imported networks with classes, beside diffusers' own walks and Gaussians of each class."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from tiny_unet import unet
from torch import Tensor, nn
from unet_references import (
    LARGEST,
    GaussianScore,
    Import,
    assert_near,
    drawn_by_ours,
    drawn_by_theirs,
    in_precision,
    own,
    pulled_back,
    start,
)

from models.anomaly.rows import read
from models.network.network import Network
from models.rows.rows import Query, take
from models.runtimes.eager import eager_denoiser
from models.schema.errors import EvaluationError
from models.schema.scores import Score
from models.schema.specs import Adams, Ddim, FlowPath, Levels
from models.solvers import sampler_of
from models.solvers.adams import AdamsSolver
from models.work.likelihood import score_problem, summarise
from models.work.marginal import summarise_classes
from models.work.sampling import Images, joint_problem, sample_problem
from models.work.solve import solve

CLASSES = 4
TOKENS = torch.tensor([[0, 255, 128, 90], [200, 130, 7, 60]], dtype=torch.uint8).view(2, 1, 2, 2)
EXACT = Adams(trace="exact", tolerance_nats=1e-4, max_evaluations=20_000)


@pytest.mark.parametrize("dtype", LARGEST)
@pytest.mark.parametrize("classes", [[0] * 3, [1] * 3, [2] * 3, [3] * 3, [2, 0, 3]], ids=str)
def test_ddim_of_each_class(imported: Import, dtype: torch.dtype, classes: list[int]) -> None:
    model = imported(classes=CLASSES).to(dtype)
    network = in_precision(unet(num_class_embeds=CLASSES), dtype)
    theirs, x = own(DDIMScheduler, dtype), start(dtype)
    expected = drawn_by_theirs(theirs, network, x, class_labels=torch.tensor(classes))
    assert_near(drawn_by_ours(model, theirs, x, classes), expected)
    other = [(one + 1) % CLASSES for one in classes]
    with pytest.raises(AssertionError):
        assert_near(drawn_by_ours(model, theirs, x, other), expected)


def test_rows_of_different_classes_share_a_call(imported: Import) -> None:
    """Each image is what it is alone, byte for byte, and a drawn class is one that is named."""
    denoiser, spec = eager_denoiser(imported(classes=CLASSES)), Ddim(steps=3)
    solver = sampler_of("ddim", denoiser.config)
    free = joint_problem(solver, denoiser, [Images(spec, 5, range(40))], torch.device("cpu"))
    drawn = free.condition.latent.argmax(1)
    assert set(drawn.tolist()) == set(range(CLASSES))
    together = solver.sample(free, solve(solver, free, denoiser)).x
    for number in 0, 1, 2, 39:
        label = int(drawn[number])
        index = torch.tensor([number])
        named = sample_problem(denoiser, spec, 5, index, latent=(label,))
        alone = solver.sample(named, solve(solver, named, denoiser)).x
        assert torch.equal(alone, together[number : number + 1])
        other = sample_problem(denoiser, spec, 5, index, latent=((label + 1) % CLASSES,))
        assert not torch.equal(solver.sample(other, solve(solver, other, denoiser)).x, alone)


class GaussianOfClass(nn.Module):
    """What a network predicts of independent Gaussians, others for each class."""

    def __init__(self, model: Network, means: Tensor, variances: Tensor) -> None:
        super().__init__()
        pairs = zip(means, variances, strict=True)
        self.each = nn.ModuleList([GaussianScore(model, *pair) for pair in pairs])

    def forward(self, x: Tensor, timestep: Tensor, latent: Tensor) -> Tensor:
        found = torch.stack([one(x, timestep, latent) for one in self.each], dim=1)
        return (latent[:, :, None, None, None] * found).sum(1)


def gaussians(imported: Import) -> tuple[Any, Tensor, Tensor]:
    """Return a denoiser of Gaussians, near enough to each other that all of them count."""
    model = imported(size=2, classes=CLASSES).double()
    dice = torch.Generator().manual_seed(0)
    shape = CLASSES, 1, 2, 2
    means = 0.1 * torch.randn(shape, generator=dice, dtype=torch.float64)
    variances = 0.2 + 0.1 * torch.rand(shape, generator=dice, dtype=torch.float64)
    model.score = GaussianOfClass(model, means, variances)
    return eager_denoiser(model, quantum=1), means, variances


def solved(denoiser: Any, spec: Adams, draws: int, classes: list[int], tokens: Tensor) -> Any:
    problem = score_problem(denoiser, tokens, spec, 0, draws, classes)
    solver = AdamsSolver()
    return problem, solver.density(problem, solve(solver, problem, denoiser))


def test_the_likelihood_of_a_named_class(imported: Import) -> None:
    denoiser, means, variances = gaussians(imported)
    classes = [3, 1]
    problem, density = solved(denoiser, EXACT, 1, classes, TOKENS)
    image = problem.columns.image
    expected = pulled_back(denoiser.config, image, means[classes], variances[classes])
    found = density.prior + density.log_det.mean(1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    score = summarise(denoiser.config, take(density, torch.tensor([0])), EXACT)
    assert score.log_px_given_z == score.log_px_lower_bound
    assert score.latent == 0


def test_the_likelihood_without_a_class_is_the_mean_over_classes(imported: Import) -> None:
    denoiser, means, variances = gaussians(imported)
    draws = 3
    problem, density = solved(
        denoiser, EXACT, draws, [*range(CLASSES)], TOKENS[:1].expand(4, 1, 2, 2)
    )
    image = problem.columns.image
    for draw in range(draws):
        same = image[draw::draws]
        assert torch.equal(same, same[:1].expand_as(same)), "classes share the dequantization"
    each = means.repeat_interleave(draws, 0), variances.repeat_interleave(draws, 0)
    given = pulled_back(denoiser.config, image, *each) + problem.columns.dequantization
    expected = given.logsumexp(0) - math.log(CLASSES * draws)
    score = summarise_classes(denoiser.config, density, EXACT)
    assert score.log_px_lower_bound == pytest.approx(float(expected), abs=1e-3)
    by_class = given.view(CLASSES, draws).logsumexp(1) - math.log(draws)
    assert score.log_px_given_class == pytest.approx(by_class.tolist(), abs=1e-3)
    assert score.log_px_given_z is None
    assert score.nfe == int(density.nfe.sum())
    # The spread is over draws, for classes are no chance.
    means_of_draws = (given.view(CLASSES, draws).logsumexp(0)).exp()
    spread = means_of_draws / means_of_draws.mean()
    assert score.draw_standard_error == pytest.approx(float(spread.std()) / math.sqrt(3), rel=0.01)


def test_the_terms_of_one_draw_add_up(imported: Import) -> None:
    denoiser, _, _ = gaussians(imported)
    _, density = solved(denoiser, EXACT, 1, [*range(CLASSES)], TOKENS[:1].expand(4, 1, 2, 2))
    score = summarise_classes(denoiser.config, density, EXACT)
    terms = score.prior, score.log_det, score.dequantization, score.latent
    assert sum(term or 0 for term in terms) == pytest.approx(score.log_px_lower_bound)
    assert score.latent is not None
    assert -math.log(CLASSES) < score.latent < 0, "minus the KL from the classes' shares"


def test_a_class_that_fails_takes_the_mean_with_it(imported: Import) -> None:
    denoiser, _, _ = gaussians(imported)
    few = Adams(trace="exact", tolerance_nats=1e-6, max_evaluations=8)
    _, density = solved(denoiser, few, 1, [*range(CLASSES)], TOKENS[:1].expand(4, 1, 2, 2))
    found = summarise_classes(denoiser.config, density, few)
    assert found == Score(found.nfe, reason="the limit on evaluations was reached")


def test_images_need_a_class_where_there_are_some(imported: Import) -> None:
    with_classes, without = (
        eager_denoiser(imported(size=2, **one)) for one in ({"classes": 4}, {})
    )
    with pytest.raises(EvaluationError, match="has 4 classes: name that of each image"):
        score_problem(with_classes, TOKENS, EXACT, 0, 1)
    with pytest.raises(EvaluationError, match="has no classes"):
        score_problem(without, TOKENS, EXACT, 0, 1, [0, 0])


@pytest.mark.parametrize("spec", [Levels(levels=3), FlowPath(steps=4, fresh=2)])
def test_verdicts_are_of_the_class_that_they_name(imported: Import, spec: Any) -> None:
    denoiser = eager_denoiser(imported(classes=CLASSES))
    tokens = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    asked: list[Tensor] = []

    class Listening:
        config, quantum = denoiser.config, denoiser.quantum
        encode, condition = denoiser.encode, denoiser.condition

        def evaluate(self, query: Query, condition: Any) -> Any:
            asked.append(condition.latent.argmax(1))
            return denoiser.evaluate(query, condition)

    listening: Any = Listening()
    read(listening, tokens, spec.replaced(class_label=2), 0)
    assert len(asked) == spec.evaluations
    assert {label for labels in asked for label in labels.tolist()} == {2}
    with pytest.raises(EvaluationError, match="has 4 classes"):
        read(listening, tokens, spec, 0)
