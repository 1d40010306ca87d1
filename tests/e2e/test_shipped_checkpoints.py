"""Every shipped checkpoint is small, carded, better than simple coders, recognised and served."""

import io
from pathlib import Path

import httpx
import numpy as np
import pytest

from models.checkpoints.checkpoint import load_checkpoint
from models.evaluation.card.coders import Coders
from models.evaluation.card.sheets import sheet_file
from models.evaluation.card.text import (
    CARD,
    CURVE,
    SAMPLES,
    SCHEDULE,
    Evaluation,
    card_text,
    sheets_shown,
)
from models.evaluation.likelihood.likelihood import elbo_terms
from models.evaluation.recorded_data import RecordedData
from models.schema.manifest import read_manifest
from models.schema.presets import presets
from models.zoo import ZOO

SHIPPED = ["digits", "emoji", "fashion-mnist", "mnist"]
WITH_CLASSES = ["digits", "fashion-mnist", "mnist"]
MOST_BYTES = 16_000_000
# Its network is larger, and its calibration names all of its photographs.
MOST_BYTES_OF_EMOJI = 21_000_000
TIMEOUT_S = 120.0


def evaluation(name: str) -> Evaluation:
    return Evaluation.model_validate(read_manifest(ZOO / name).evaluation)


def test_these_are_shipped() -> None:
    assert sorted(folder.parent.name for folder in ZOO.glob("*/manifest.json")) == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_folder_is_small_and_its_card_complete(name: str) -> None:
    """The card shows the samplers of its manifest, whichever are registered today."""
    folder: Path = ZOO / name
    most = MOST_BYTES_OF_EMOJI if name == "emoji" else MOST_BYTES
    assert sum(file.stat().st_size for file in folder.iterdir()) <= most
    manifest, found = read_manifest(folder), evaluation(name)
    sheets = [sheet_file(spec.name) for spec in sheets_shown(manifest, found)]
    assert len(sheets) == 7
    text = (folder / CARD).read_text()
    for picture in [SAMPLES, CURVE, SCHEDULE, *sheets]:
        assert (folder / picture).stat().st_size > 1000
        assert f"]({picture})" in text
    assert text == card_text(manifest, found)


@pytest.mark.parametrize("name", ["fashion-mnist", "mnist"])
def test_the_official_training_images_are_divided_in_three(name: str) -> None:
    record = read_manifest(ZOO / name).data
    assert record is not None
    counts = {part: indices.count for part, indices in record.split.items()}
    assert counts == {"train": 50_000, "density": 5_000, "calibration": 5_000, "test": 10_000}


def test_the_digits_bound_is_found_again() -> None:
    """The bound is measured on all test images, with all draws."""
    manifest, model = load_checkpoint(ZOO / "digits")
    recorded = evaluation("digits").likelihood
    images = RecordedData(manifest).images("test")
    found = elbo_terms(model, images, recorded.seed, recorded.elbo_draws).estimate(model.config)
    for one, other in (
        (found.bound, recorded.elbo.bound),
        (found.paper, recorded.elbo.paper),
    ):
        assert one.mean == pytest.approx(other.mean, abs=1e-3)
        assert one.standard_error == pytest.approx(other.standard_error, abs=1e-3)
    assert found.images == recorded.elbo.images == 297


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_its_bound_is_below_every_simple_coder(name: str) -> None:
    """The upper end of the bound's interval lies below the lower end of each coder's.

    Not that of `emoji`: flat graphics on white are what PNG and WebP were made for.
    """
    found = evaluation(name)
    bound = found.likelihood.elbo.bound
    assert bound.standard_error is not None
    most = bound.mean + 2 * bound.standard_error
    coders: Coders = found.coders
    assert coders.images == found.likelihood.elbo.images
    assert most < min(coders.png_strip, coders.webp_strip)
    for coder in (coders.png, coders.webp, coders.marginal):
        assert coder.standard_error is not None
        assert most < coder.mean - 2 * coder.standard_error


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_a_classifier_of_real_images_accepts_its_samples(name: str) -> None:
    found = evaluation(name).recognition
    assert found is not None
    assert found.sampler == presets(read_manifest(ZOO / name))["balanced"]
    assert found.sample_confidence.mean > found.test_confidence.mean - 0.1
    assert min(found.sample_classes) > 0.02 * found.samples
    assert sum(found.sample_classes) == found.samples == 1000


@pytest.mark.parametrize("name", SHIPPED)
def test_it_draws_and_scores_what_it_drew(address: str, name: str) -> None:
    config = read_manifest(ZOO / name).config
    drawn = httpx.post(
        f"{address}/v1/samples",
        json={"model": name, "count": 2, "seed": 3, "solver": {"preset": "fast"}},
        headers={"Accept": "application/x-npy"},
        timeout=TIMEOUT_S,
    )
    assert drawn.status_code == 200, drawn.text
    tokens = np.load(io.BytesIO(drawn.content))
    assert tokens.shape == (2, *config.image_shape)
    assert tokens.max() < config.vocabulary
    scored = httpx.post(
        f"{address}/v1/likelihoods?model={name}&probes=1&tolerance_nats=10",
        content=drawn.content,
        headers={"Content-Type": "application/x-npy"},
        timeout=TIMEOUT_S,
    )
    assert scored.status_code == 200, scored.text
    for row in scored.json()["results"]:
        assert row["status"] == "ok"
        assert 0 < row["bits_per_dim"] < np.log2(config.vocabulary)
