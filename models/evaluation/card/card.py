"""A checkpoint's card: what it is, how it was made, what was measured, what it draws.

This module measures and draws; the words are in `text`, and come from the manifest alone.
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from models.checkpoints.checkpoint import Checkpoint, save_manifest
from models.evaluation.card.coders import simple_coders
from models.evaluation.card.sheets import sheet_file, sheets_to_draw
from models.evaluation.card.text import (
    CARD,
    CURVE,
    SAMPLE_SEED,
    SAMPLES,
    SCHEDULE,
    Evaluation,
    card_text,
)
from models.evaluation.defaults import CARD_IMAGES, CARD_ODE_IMAGES
from models.evaluation.likelihood.likelihood import evaluate_likelihood
from models.evaluation.recorded_data import subset
from models.evaluation.samples.drawing import draw_samples
from models.evaluation.samples.recognition import RealImages, Recognition, recognise
from models.evaluation.schedule.learned import draw_schedule, latent_use, schedule_spread
from models.files.folders import write_atomically
from models.files.pictures import contact_sheet
from models.rows.denoiser import Denoiser
from models.schema.architectures import require_mulan
from models.schema.manifest import Manifest
from models.schema.presets import PresetName, preset, presets
from models.schema.specs import Adams, SamplerSpec
from models.training.curve import training_curve

SHEET, SOLVER_SHEET, JUDGED = 64, 16, 1000


def write_card(
    folder: Path,
    checkpoint: Checkpoint,
    denoiser: Denoiser,
    real: RealImages,
    *,
    images: int = CARD_IMAGES,
    ode_images: int = CARD_ODE_IMAGES,
    keep_likelihood: bool = False,
) -> Manifest:
    """Measure on `images` of the test images, `ode_images` of them by the ODE, draw, and write
    card, pictures and figures into the folder. To `keep_likelihood` is to take what hangs on the
    weights alone from the last card.
    """
    manifest, model = checkpoint
    require_mulan(manifest.config, "a card")
    chosen = subset(real.test, images)
    use = latent_use(model, real.test)
    last = _last(manifest) if keep_likelihood else None
    evaluation = Evaluation(
        likelihood=last.likelihood
        if last
        else evaluate_likelihood(
            *(model, denoiser, chosen, Adams()),
            ode_images=ode_images,
            ode_error_scales=manifest.ode_error_scales,
        ),
        coders=last.coders
        if last
        else simple_coders(real.train, chosen, manifest.config.vocabulary),
        recognition=None if real.known is None else judge(checkpoint, denoiser, real),
        schedule=schedule_spread(model, use),
        sheets=sheets_to_draw(manifest),
    )
    manifest = manifest.model_copy(update={"evaluation": evaluation.model_dump(mode="json")})
    _draw_sheets(folder, checkpoint, denoiser, evaluation.sheets or [])
    draw_schedule(model, use, folder / SCHEDULE)
    if manifest.training is not None:
        training_curve(manifest.training.history, folder / CURVE)
    write_atomically(folder / CARD, card_text(manifest, evaluation).encode())
    save_manifest(folder, manifest)
    return manifest


def carded(manifest: Manifest) -> tuple[int, int]:
    """Return the numbers of images that the card measured by the ELBO and by the ODE; without a
    card, those that it would measure."""
    last = _last(manifest)
    if last is None:
        return CARD_IMAGES, CARD_ODE_IMAGES
    return last.likelihood.elbo.images, last.likelihood.ode.images


def judge(
    checkpoint: Checkpoint,
    denoiser: Denoiser,
    real: RealImages,
    samples: int = JUDGED,
    name: PresetName = "balanced",
) -> Recognition:
    """Show the classifier of real images `samples` drawn by the preset `name`. Raises DataError
    where the real images have no classes."""
    spec = preset(presets(checkpoint.manifest), name)
    drawn = draw_samples(denoiser, spec, samples, SAMPLE_SEED, checkpoint.model.device)
    return recognise(real, drawn.tokens, spec, SAMPLE_SEED)


def _draw_sheets(
    folder: Path, checkpoint: Checkpoint, denoiser: Denoiser, specs: Sequence[SamplerSpec]
) -> None:
    """Draw one sheet of the balanced preset, and a smaller one of each of `specs`."""
    manifest = checkpoint.manifest
    sheets = {SAMPLES: (presets(manifest)["balanced"], SHEET)}
    sheets |= {sheet_file(spec.name): (spec, SOLVER_SHEET) for spec in specs}
    for name, (spec, count) in sheets.items():
        drawn = draw_samples(denoiser, spec, count, SAMPLE_SEED, checkpoint.model.device)
        sheet = contact_sheet(drawn.tokens, manifest.config.vocabulary)
        write_atomically(folder / name, sheet)


def _last(manifest: Manifest) -> Evaluation | None:
    try:
        return Evaluation.model_validate(manifest.evaluation)
    except ValidationError:
        return None
