"""`mulan models evaluate likelihood`, `recognition`, `card` and `ablation`."""

from pathlib import Path

import torch

from models.checkpoints.checkpoint import load_checkpoint
from models.cli.actions.recipes import chosen_recipe
from models.cli.lazy import Outcome
from models.evaluation.card.card import carded, judge, write_card
from models.evaluation.card.text import likelihood_table, recognition_table
from models.evaluation.defaults import CARD_IMAGES, CARD_ODE_IMAGES
from models.evaluation.likelihood.likelihood import evaluate_likelihood
from models.evaluation.recorded_data import RecordedData, subset
from models.evaluation.samples.recognition import real_images
from models.evaluation.schedule.ablation import ablate
from models.evaluation.schedule.ablation_text import ablation_table
from models.evaluation.schedule.arms import ARMS
from models.files.shelf import find
from models.runtimes.warmup import warm_up
from models.schema.presets import PresetName
from models.schema.specs import Adams

BATCH = 64


def likelihood(
    name: str,
    root: Path,
    data: str | None,
    test_data: str | None,
    images: int | None,
    ode_images: int | None,
    seed: int,
    draws: int,
    probes: int,
    tolerance_nats: float,
    paper: bool,
    device: torch.device,
) -> Outcome:
    """Measure a checkpoint's bits/dim on its test images."""
    checkpoint = load_checkpoint(find(name, root)[0], device)
    recorded = RecordedData(checkpoint.manifest, data, test_data)
    carded_images, carded_ode_images = carded(checkpoint.manifest)
    chosen = subset(recorded.images("test"), images or carded_images, seed)
    figures = evaluate_likelihood(
        checkpoint.model,
        warm_up(checkpoint.model, BATCH),
        chosen,
        Adams(probes=probes, tolerance_nats=tolerance_nats),
        draws=draws,
        ode_images=ode_images or carded_ode_images,
        seed=seed,
        paper=paper,
        ode_error_scales=checkpoint.manifest.ode_error_scales,
    )
    return Outcome(figures.model_dump(mode="json"), likelihood_table(figures))


def recognition(
    name: str,
    root: Path,
    data: str | None,
    test_data: str | None,
    samples: int,
    preset: PresetName,
    device: torch.device,
) -> Outcome:
    """Show a classifier of real images what a checkpoint draws."""
    checkpoint = load_checkpoint(find(name, root)[0], device)
    real = real_images(RecordedData(checkpoint.manifest, data, test_data))
    found = judge(checkpoint, warm_up(checkpoint.model, BATCH), real, samples, preset)
    return Outcome(found.model_dump(mode="json"), recognition_table(found))


def card(
    folder: Path,
    data: str | None,
    test_data: str | None,
    images: int | None,
    ode_images: int | None,
    keep_likelihood: bool,
    device: torch.device,
) -> Outcome:
    """Measure a checkpoint and write its card."""
    checkpoint = load_checkpoint(folder, device)
    real = real_images(RecordedData(checkpoint.manifest, data, test_data))
    manifest = write_card(
        folder,
        checkpoint,
        warm_up(checkpoint.model, BATCH),
        real,
        images=images or CARD_IMAGES,
        ode_images=ode_images or CARD_ODE_IMAGES,
        keep_likelihood=keep_likelihood,
    )
    return Outcome(manifest.evaluation, f"{folder}: card written")


def ablation(
    recipe: str,
    out: Path,
    data: str | None,
    test_data: str | None,
    seeds: int,
    steps: int | None,
    images: int | None,
    names: tuple[str, ...],
    device: torch.device,
) -> Outcome:
    """Train a recipe with learned schedules and a fixed one, and compare them."""
    chosen = chosen_recipe(recipe, data, test_data, steps=steps)
    found = ablate(chosen, range(seeds), images or CARD_IMAGES, out, device, names or ARMS)
    return Outcome(found.model_dump(mode="json"), ablation_table(found))
