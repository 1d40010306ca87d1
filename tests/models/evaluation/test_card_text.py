"""The card speaks of a schedule, its latent and its samplers by what was measured."""

import pytest

from models.evaluation.card.text import Evaluation, card_text, sheets_shown
from models.evaluation.samples.sweep import Tuning
from models.schema.manifest import Manifest, read_manifest
from models.zoo import ZOO


def card(name: str, latent_kl: float | None = None, **spread: object) -> str:
    """The text of a shipped checkpoint's card, had it been measured otherwise."""
    manifest: Manifest = read_manifest(ZOO / name)
    found = Evaluation.model_validate(manifest.evaluation)
    assert manifest.training is not None
    if latent_kl is not None:
        history = [manifest.training.history[-1] | {"latent": latent_kl}]
        training = manifest.training.model_copy(update={"history": history})
        manifest = manifest.model_copy(update={"training": training})
    schedule = found.schedule.model_copy(update=spread)
    return card_text(manifest, found.model_copy(update={"schedule": schedule}))


def test_a_collapsed_latent_is_called_so() -> None:
    text = card("mnist", latent_kl=0.01)
    assert "the latent collapsed: at the end of training its KL was 0.01 nats" in text
    assert "alive" not in text


@pytest.mark.parametrize(("over_latents", "heeded"), [(0.005, False), (0.05, True)])
def test_a_live_latent_may_leave_the_schedule_flat(over_latents: float, heeded: bool) -> None:
    text = card("mnist", latent_kl=0.7, over_pixels=0.1, over_latents=over_latents)
    assert "The latent is alive: at the end of training its KL was 0.70 nats." in text
    assert "collapsed" not in text
    assert ("The schedule hardly heeds it." in text) != heeded


def test_the_pattern_of_patches_is_not_taken_for_the_images() -> None:
    assert "structure of the images" not in card("digits")
    assert "Where gamma repeats every 2 pixels" in card("mnist", by_patch=None)
    assert "48 % of the variance between pixels goes with" in card("mnist", by_patch=0.48)


def test_one_schedule_for_all_images_is_called_so() -> None:
    manifest = read_manifest(ZOO / "emoji")
    found = Evaluation.model_validate(manifest.evaluation)
    one = {"latent_size": 1, "latent_k": 1}
    config = manifest.config.model_copy(update=one)
    text = card_text(manifest.model_copy(update={"config": config}), found)
    assert "Gamma is the same for all images." in text
    assert "no latent, gamma from" in text
    assert "collapsed" not in text
    assert "alive" not in text


def test_parts_alike_are_told_from_data_alike() -> None:
    """Both 28x28 sets are divided alike, so their own hashes are printed too."""
    for name in "mnist", "fashion-mnist":
        record = read_manifest(ZOO / name).data
        assert record is not None
        assert f"`{record.sha256}`" in card(name)
        assert f"`{record.test_sha256}`" in card(name)


def test_classes_that_are_no_numerals_have_names() -> None:
    assert "sandal" in card("fashion-mnist")
    assert "The classes" not in card("mnist")


def test_a_card_shows_the_samplers_that_it_recorded() -> None:
    """A sampler registered since, or one that was not tuned, makes no card wrong."""
    manifest = read_manifest(ZOO / "digits")
    recorded = Evaluation.model_validate(manifest.evaluation)
    # As cards from before have it.
    found = recorded.model_copy(update={"sheets": None})
    tuned = sheets_shown(manifest, found)
    assert tuned == recorded.sheets
    assert card_text(manifest, found.model_copy(update={"sheets": tuned})) == card("digits")
    few = found.model_copy(update={"sheets": tuned[:2]})
    assert "| ![ddpm](samples-ddpm.png) | ![ddim](samples-ddim.png) |\n" in card_text(manifest, few)
    bare = manifest.model_copy(update={"tuning": {}})
    assert "## Every sampler as it comes\n\n| `ddpm` | `ddim` |" in card_text(bare, few)
    rows = Tuning.model_validate(manifest.tuning).model_dump(mode="json")
    rows["sweep"]["rows"] = [
        row for row in rows["sweep"]["rows"] if row["solver"]["name"] != "ddim"
    ]
    partly = manifest.model_copy(update={"tuning": rows})
    assert "| `ddpm` | `ddim`, as it comes |" in card_text(partly, few)


def test_a_distance_that_real_images_exceed_is_not_called_a_limit() -> None:
    assert "cannot be expected to do better" in card("digits")
    assert "farther than the nearest samples" not in card("digits")
    assert "farther than the nearest samples" in card("emoji")
    assert "cannot be expected to do better" not in card("emoji")


def test_a_card_names_the_weights_that_training_began_with() -> None:
    manifest = read_manifest(ZOO / "digits")
    assert manifest.training is not None
    found = Evaluation.model_validate(manifest.evaluation)
    assert "Training began with" not in card_text(manifest, found)
    training = manifest.training.model_copy(update={"started_from": "ab" * 32})
    text = card_text(manifest.model_copy(update={"training": training}), found)
    assert f"Training began with the weights `{'ab' * 32}`. {training.steps} steps" in text
