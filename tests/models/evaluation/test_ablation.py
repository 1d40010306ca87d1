"""The comparison of schedules: that it is fair, that it goes on, that it adds up."""

from pathlib import Path

import pytest
import torch

from models.evaluation.schedule.ablation import Ablation, TwoWay, ablate, ablation_table, arms
from models.schema.errors import TrainingError
from models.training import run
from models.training.recipe import Recipe

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def compared(
    small_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Ablation, Path]:
    out = tmp_path_factory.mktemp("ablation")
    return ablate(small_recipe, range(2), 50, out, CPU), out


def test_arms_differ_in_the_schedule_and_the_latent_alone(small_recipe: Recipe) -> None:
    found = arms(small_recipe)
    assert list(found) == ["fixed", "learned", "recipe"]
    assert found["recipe"] == small_recipe
    assert found["fixed"].optimisation == found["learned"].optimisation
    assert found["learned"].model == small_recipe.model
    latent = {"latent_size": 0, "latent_k": 0}
    assert found["fixed"].model == small_recipe.model.model_copy(update=latent)
    assert list(arms(found["learned"])) == ["fixed", "learned"]


def test_figures_add_up(compared: tuple[Ablation, Path]) -> None:
    found, _ = compared
    fixed, learned, whole = found.arms
    assert [run.seed for run in learned.runs] == [0, 1]
    assert (found.images, found.steps) == (50, 12)
    assert fixed.gain.mean == 0
    for arm in (learned, whole):
        assert arm.gain.mean == pytest.approx(fixed.bound.mean - arm.bound.mean, abs=1e-9)
        assert arm.bound.mean == pytest.approx(sum(r.elbo.bound.mean for r in arm.runs) / 2)
        assert arm.paper.mean == pytest.approx(sum(r.elbo.paper.mean for r in arm.runs) / 2)
        assert arm.paper.mean < arm.bound.mean
        assert arm.gain.over_images is not None
        assert arm.bound.over_images is not None
        assert arm.gain.over_images < arm.bound.over_images
    assert fixed.runs[0].elbo.bound == fixed.runs[0].elbo.paper
    assert (fixed.runs[0].latent_kl, fixed.runs[0].information) == (0, 0)
    assert len({run.sha256 for arm in found.arms for run in arm.runs}) == 6


def test_it_is_written_and_told(compared: tuple[Ablation, Path]) -> None:
    found, out = compared
    assert Ablation.model_validate_json((out / "ablation.json").read_bytes()) == found
    assert (out / "ablation.png").stat().st_size > 5000
    lines = ablation_table(found).splitlines()
    assert len(lines) == 5
    learned = found.arms[1]
    assert lines[3].startswith(f"| learned | {learned.bound} | {learned.paper} |")


def test_what_is_trained_is_not_trained_again(
    compared: tuple[Ablation, Path], small_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, out = compared
    monkeypatch.setattr(run, "Trainer", lambda *_: pytest.fail("trained again"))
    assert ablate(small_recipe, range(2), 50, out, CPU) == found


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
