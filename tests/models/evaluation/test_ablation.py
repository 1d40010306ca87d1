"""The comparison of schedules: that it is fair, that it goes on, that it adds up."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.checkpoints.checkpoint import load_checkpoint
from models.evaluation.likelihood.likelihood import elbo_terms
from models.evaluation.recorded_data import RecordedData, subset
from models.evaluation.schedule.ablation import Ablation, TwoWay, ablate, agreement
from models.evaluation.schedule.ablation_text import ablation_table
from models.evaluation.schedule.arms import ARMS, arms
from models.network.network import LinearSchedule
from models.schema.errors import TrainingError
from models.schema.manifest import read_manifest
from models.training import run
from models.training.recipe import Recipe, override

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def compared(
    small_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Ablation, Path]:
    out = tmp_path_factory.mktemp("ablation")
    return ablate(small_recipe, range(2), 50, out, CPU), out


def test_arms_differ_in_the_schedule_and_the_latent_alone(small_recipe: Recipe) -> None:
    found = arms(small_recipe)
    assert tuple(found) == ARMS == ("fixed", "multivariate", "learned", "recipe")
    assert found["recipe"] == small_recipe
    assert found["learned"].model == small_recipe.model
    for name, size in (("fixed", 0), ("multivariate", 1)):
        latent = {"latent_size": size, "latent_k": size}
        assert found[name].optimisation == found["learned"].optimisation
        assert found[name].model == small_recipe.model.model_copy(update=latent)
        assert found[name].data == small_recipe.data
    assert list(arms(found["learned"])) == ["fixed", "multivariate", "learned"]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([], ["fixed"]),
        (["multivariate"], ["fixed", "multivariate"]),
        (["recipe", "fixed"], ["fixed", "recipe"]),
    ],
)
def test_arms_are_chosen_and_the_baseline_is_always_among_them(
    small_recipe: Recipe, names: list[str], found: list[str]
) -> None:
    assert list(arms(small_recipe, names)) == found


def test_figures_add_up(compared: tuple[Ablation, Path]) -> None:
    found, _ = compared
    fixed, multivariate, learned, whole = found.arms
    assert [run.seed for run in learned.runs] == [0, 1]
    assert (found.images, found.steps) == (50, 12)
    assert fixed.gain.mean == fixed.schedule_gain.mean == 0
    for arm in (multivariate, learned, whole):
        assert arm.gain.mean == pytest.approx(fixed.bound.mean - arm.bound.mean, abs=1e-9)
        assert arm.bound.mean == pytest.approx(sum(r.elbo.bound.mean for r in arm.runs) / 2)
        assert arm.paper.mean == pytest.approx(sum(r.elbo.paper.mean for r in arm.runs) / 2)
        assert arm.gain.over_images is not None
        assert arm.bound.over_images is not None
        assert arm.gain.over_images < arm.bound.over_images
    for arm in (learned, whole):
        assert arm.paper.mean < arm.bound.mean
    for arm in (fixed, multivariate):
        assert arm.runs[0].elbo.bound == arm.runs[0].elbo.paper
        assert (arm.runs[0].latent_kl, arm.runs[0].information) == (0, 0)
    assert len({run.sha256 for arm in found.arms for run in arm.runs}) == 8


def test_a_schedule_is_compared_with_a_linear_one_in_the_same_network(
    compared: tuple[Ablation, Path],
) -> None:
    found, out = compared
    gains = []
    for seed in (0, 1):
        model = load_checkpoint(out / f"multivariate-{seed}").model
        data = RecordedData(read_manifest(out / f"multivariate-{seed}"), "digits")
        images = subset(data.images("test"), 50)
        own = elbo_terms(model, images, seed=0).estimate(model.config).bound.mean
        model.gamma = LinearSchedule(model.config)
        gains.append(elbo_terms(model, images, seed=0).estimate(model.config).bound.mean - own)
    assert min(map(abs, gains)) > 1e-5
    assert found.arms[1].schedule_gain.mean == pytest.approx(sum(gains) / 2, abs=1e-5)


def test_gamma_differs_as_the_arm_says(compared: tuple[Ablation, Path]) -> None:
    """Between pixels where it is learned, and between images only where there are latents."""
    fixed, multivariate, *others = compared[0].arms
    assert {run.after.over_pixels for run in fixed.runs} == {0}
    assert fixed.agreement is None
    for arm in (multivariate, *others):
        assert arm.agreement is not None
        for trained in arm.runs:
            assert trained.before.over_pixels > 0
            assert trained.after.over_pixels > 0
            assert trained.before != trained.after
    for trained in multivariate.runs:
        assert (trained.after.latents_used, trained.after.over_latents) == (1, 0)
        assert (trained.before.latents_used, trained.before.over_latents) == (1, 0)


def test_a_schedule_that_begins_linear_is_measured_too(
    small_recipe: Recipe, tmp_path: Path
) -> None:
    linear = override(small_recipe, optimisation={"schedule_start": "linear"})
    found = ablate(linear, range(1), 10, tmp_path, CPU, ["multivariate"])
    trained = found.arms[1].runs[0]
    assert trained.before.over_pixels < 1e-9
    assert trained.before.by_patch is None
    assert trained.after.over_pixels > 1e-6


def test_it_is_written_and_told(compared: tuple[Ablation, Path]) -> None:
    found, out = compared
    assert Ablation.model_validate_json((out / "ablation.json").read_bytes()) == found
    assert (out / "ablation.png").stat().st_size > 5000
    likelihoods, schedules = (part.splitlines() for part in ablation_table(found).split("\n\n"))
    learned = found.arms[2]
    assert likelihoods[4].startswith(f"| learned | {learned.bound} | {learned.paper} |")
    for lines in (likelihoods, schedules):
        assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {name}" for name in ARMS]
        assert len({line.count("|") for line in lines}) == 1


def test_what_is_trained_is_not_trained_again(
    compared: tuple[Ablation, Path], small_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, out = compared
    monkeypatch.setattr(run, "Trainer", lambda *_: pytest.fail("trained again"))
    assert ablate(small_recipe, range(2), 50, out, CPU) == found


def test_an_arm_that_was_stopped_goes_on(
    compared: tuple[Ablation, Path], small_recipe: Recipe, tmp_path: Path
) -> None:
    recipe = override(arms(small_recipe)["multivariate"], optimisation={"seed": 1})
    asked = iter([False] * 6 + [True])
    folder = tmp_path / "multivariate-1"
    stopped = run.train(recipe, folder, CPU, "", lambda: next(asked))
    assert stopped.training is not None
    assert stopped.training.steps == 6
    whole = run.train(recipe, folder, CPU, "")
    assert whole.sha256 == compared[0].arms[1].runs[1].sha256 != stopped.sha256
    assert load_checkpoint(folder).manifest == whole


def test_a_folder_of_another_recipe_is_refused(
    compared: tuple[Ablation, Path], small_recipe: Recipe
) -> None:
    _, out = compared
    longer = small_recipe.model_copy(
        update={"optimisation": small_recipe.optimisation.model_copy(update={"steps": 13})}
    )
    with pytest.raises(TrainingError, match=r"fixed-0 .*another recipe"):
        ablate(longer, range(1), 50, out, CPU)


def test_both_errors_of_a_mean() -> None:
    values = torch.tensor([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]], dtype=torch.float64)
    found = TwoWay.of(values)
    assert found.mean == 2.5
    assert found.over_images == pytest.approx(1 / 3**0.5)
    assert found.over_seeds == pytest.approx(0.5)
    assert TwoWay.of(values[:1]).over_seeds is None
    assert str(found) == "2.5000 ± 0.5774 / 0.5000"


def test_agreement_of_maps_of_seeds() -> None:
    one = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    assert agreement([one, 2 * one + 5]) == pytest.approx(1)
    assert agreement([one, -one, one]) == pytest.approx(-1 / 3)
    assert agreement([one]) is None
    assert agreement([one, 0 * one]) is None
