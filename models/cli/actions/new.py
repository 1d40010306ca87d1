"""`mulan models new`: from a folder of photographs to a recipe, and with --all to a checkpoint."""

import re
from pathlib import Path

import click
import torch
from PIL import Image

from models.anomaly.level_fitting import CHECKED, TAUGHT
from models.checkpoints.checkpoint import load_checkpoint
from models.cli.actions.calibrate import calibrate
from models.cli.actions.train import train
from models.cli.lazy import Outcome
from models.files import extras
from models.files.folders import new_folder
from models.preprocessing.decode import decode
from models.preprocessing.folder import Folder, content, printable, scan
from models.preprocessing.levels import quantise, to_levels
from models.schema.errors import DataError, MissingExtraError, PictureError
from models.schema.preprocessing import Size
from models.schema.specs import Levels
from models.training.batches import CropBatches
from models.training.proposal import SAMPLED, Impression, Proposal, Wishes, propose
from models.training.recipe import RECIPE, Recipe, override, parse_recipe
from models.training.recipe_text import recipe_text
from models.training.timing import plan


def new(
    folder: Path,
    out: Path,
    minutes: float,
    group: str,
    mode: str | None,
    resize: tuple[int, int] | None,
    scale: float | None,
    tile: tuple[int, int] | None,
    vocabulary: int | None,
    test: int,
    licence: str,
    seed: int,
    everything: bool,
    defects: Path | None,
    device: torch.device,
) -> Outcome:
    """Write a recipe for the photographs in `folder` to `out`, and follow it if asked to."""
    if resize is not None and scale is not None:
        raise DataError("--resize makes whole pictures and --scale tiles: give one of them")
    found = scan(folder)
    wishes = Wishes(mode, vocabulary, _size(tile), _size(resize), scale, test)
    images = _sampled(found)
    proposal = propose(Impression.of(images), len(found.photographs), wishes)
    recipe = _recipe(folder, out, group, licence, seed, proposal, device)
    recipe, time = _timed(recipe, images, minutes * 60, device)
    report = [*found.describe(), *proposal.reasons, time]
    command = f"mulan models train {out} --threads {torch.get_num_threads()}"
    with new_folder(out) as partial:
        (partial / RECIPE).write_text(recipe_text(recipe, report), encoding="utf-8")
    record = {
        "folder": str(out),
        "photographs": len(found.photographs),
        "sizes": dict(found.sizes),
        "kinds": dict(found.kinds),
        "left_out": found.left_out,
        "recipe": recipe.model_dump(mode="json"),
    }
    report.append(f"wrote {out / RECIPE}")
    if not everything:
        return Outcome(record, "\n".join([*report, f"next: {command}"]))
    click.echo("\n".join(report), err=True)
    trained = train(str(out), out, None, None, None, None, None, device)
    click.echo(trained.text, err=True)
    calibrated = calibrate(out, device=device, defects=defects)
    text = f"{calibrated.text}\n{_graphs(out)}\nnext: mulan serve --models {out}"
    return Outcome(record | {"checkpoint": trained.record, "calibration": calibrated.record}, text)


def _graphs(out: Path) -> str:
    """Make the graphs of the checkpoint in `out`, if the extra for that is installed, and say so or
    why not."""
    try:
        extras.module("models.checkpoints.onnx_export").make_graphs(load_checkpoint(out), out)
    except MissingExtraError as error:
        return f"served without ONNX Runtime, which is slower: {error}"
    return f"made the graphs for ONNX Runtime in {out}"


def _sampled(found: Folder) -> list[Image.Image]:
    """Decode some photographs, evenly spread over the folder. Raises DataError where none of them
    can be read."""
    step = max(1, len(found.photographs) // SAMPLED)
    images, fault = [], ""
    for one in found.photographs[::step][:SAMPLED]:
        try:
            images.append(decode(content(one.path)))
        except (PictureError, DataError) as error:
            fault = f"{one.name}: {error}"
    if not images:
        raise DataError(f"{found.path}: none of the photographs can be read; {fault}")
    return images


def _recipe(
    folder: Path,
    out: Path,
    group: str,
    licence: str,
    seed: int,
    proposal: Proposal,
    device: torch.device,
) -> Recipe:
    try:
        source = str(folder.resolve())
        source.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{printable(str(folder))}: rename this folder to UTF-8") from error
    settings = {
        "name": re.sub(r"[^a-z0-9._-]+", "-", out.resolve().name.lower()).strip("-._")[:64]
        or "new",
        "data": {
            "source": source,
            "licence": licence,
            "split_seed": seed,
            "split": proposal.split,
            "group": group,
            "shift": proposal.shift,
        },
        "preprocessing": proposal.preprocessing,
        "model": proposal.model,
        "optimisation": {
            "steps": 1,
            "batch_size": 16 if device.type == "cpu" else 64,
            "precision": "bfloat16",
            "learning_rate": 1e-3,
            "warmup_steps": 100,
            "ema": 0.995,
            "keep": "best",
            "seed": seed,
        },
    }
    return parse_recipe(settings, "the proposal")


def _timed(
    recipe: Recipe, images: list[Image.Image], seconds: float, device: torch.device
) -> tuple[Recipe, str]:
    """Return the recipe with the number of steps that there is time for, and a line about it."""
    rule = recipe.preprocessing
    assert rule is not None
    tokens, counts = [], []
    for image in images:
        try:
            levels = to_levels(image, rule)
        except PictureError:
            continue
        tokens.append(quantise(levels, rule.levels))
        counts.append(rule.tiles(Size(image.height, image.width)))
    if not tokens:
        raise DataError(
            "no picture is as large as a tile; choose a smaller --tile or larger --scale"
        )
    batches = CropBatches(tokens, rule, recipe.data.shift, device)
    held_out = recipe.data.split.get("density", 1) * sum(counts) // len(counts)
    found = plan(recipe, batches, held_out, device, seconds)
    chosen = override(
        recipe, optimisation={"steps": found.steps, "held_out_every": found.held_out_every}
    )
    tiles, split = sum(counts) / len(counts), recipe.data.split
    pictures = sum(split.values()) - split["train"]
    rows = pictures * tiles + TAUGHT + CHECKED
    calibration = rows * Levels().evaluations * found.evaluation
    return chosen, (
        f"{tiles:.3g} rows a picture; {found.steps} steps take about {_minutes(found.seconds)} on "
        f"this machine ({device}, {torch.get_num_threads()} threads), and calibration another "
        f"{_minutes(calibration)}"
    )


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"


def _size(sides: tuple[int, int] | None) -> Size | None:
    return None if sides is None else Size(*sides)
