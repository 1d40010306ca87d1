"""What the card says of a schedule and its latent, by what was measured."""

import pytest

from models.evaluation.card.text import Evaluation, card_text
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


def test_parts_alike_are_told_from_data_alike() -> None:
    """Both 28x28 sets are divided alike; their own hashes are printed too."""
    for name in "mnist", "fashion-mnist":
        record = read_manifest(ZOO / name).data
        assert record is not None
        assert f"`{record.sha256}`" in card(name)
        assert f"`{record.test_sha256}`" in card(name)


def test_classes_that_are_no_numerals_have_names() -> None:
    assert "sandal" in card("fashion-mnist")
    assert "The classes" not in card("mnist")
