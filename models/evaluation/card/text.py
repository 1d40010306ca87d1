"""The words of a checkpoint's card, all of them from its manifest."""

import math

from pydantic import Field

from models.evaluation.card.coders import Coders
from models.evaluation.card.sheets import sheet_table, tuned_sheets
from models.evaluation.likelihood.likelihood import LikelihoodEvaluation
from models.evaluation.measurement import EvaluationRecord
from models.evaluation.samples.recognition import Recognition
from models.evaluation.samples.sweep import Sweep, Tuning
from models.evaluation.samples.text import rivals_table, savings, sweep_table
from models.evaluation.schedule.learned import ScheduleSpread
from models.evaluation.schedule.text import schedule_text
from models.schema.architectures import require_mulan
from models.schema.manifest import Manifest
from models.schema.presets import presets
from models.schema.specs import SamplerSpec

CARD = "README.md"
SAMPLES, CURVE, SCHEDULE = "samples.png", "training.png", "schedule.png"
CURVES = "samplers.png"
SAMPLE_SEED = 7
# What the classifier that gives the features was taught.
FEATURES = {
    "classes": "a small classifier of the training images",
    "turns": "a small classifier that tells how training images were turned, since these have no "
    "classes",
}
CLASSES = {
    "fashion-mnist": "T-shirt/top, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, "
    "ankle boot"
}


class Evaluation(EvaluationRecord):
    """All that a card reports; `evaluation` in the manifest."""

    likelihood: LikelihoodEvaluation
    coders: Coders
    recognition: Recognition | None = Field(
        None, description="None where the images have no classes.", exclude_if=lambda it: it is None
    )
    schedule: ScheduleSpread
    sheets: list[SamplerSpec] | None = Field(
        None,
        description="The samplers that the card shows, as they drew. Cards of before this was "
        "recorded show those that the tuning measured.",
    )


def sheets_shown(manifest: Manifest, evaluation: Evaluation) -> list[SamplerSpec]:
    """Return the samplers whose contact sheets lie beside the card."""
    return tuned_sheets(manifest) if evaluation.sheets is None else evaluation.sheets


def card_text(manifest: Manifest, evaluation: Evaluation) -> str:
    """Return the card, Markdown."""
    parts = [
        f"# {manifest.name}",
        _architecture(manifest),
        f"![Samples]({SAMPLES})",
        f"Images by the `balanced` preset, `{presets(manifest)['balanced'].model_dump_json()}`, "
        f"seed {SAMPLE_SEED}.",
        _recognition(manifest, evaluation.recognition),
        "## Likelihood",
        likelihood_table(evaluation.likelihood),
        _likelihood_notes(manifest, evaluation.likelihood),
        coder_table(evaluation.likelihood, evaluation.coders),
        "## What the schedule learned",
        f"![gamma over time, and by pixel and latent]({SCHEDULE})",
        schedule_text(manifest, evaluation.schedule),
        _samplers(manifest),
        _training(manifest),
        sheet_table(manifest, sheets_shown(manifest, evaluation)),
        _data(manifest),
        "Written by `mulan models evaluate card DIR`, from the checkpoint and its data.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def likelihood_table(figures: LikelihoodEvaluation) -> str:
    """Return the table of bits/dim by ELBO and ODE, each with both latent terms, Markdown."""
    lines = [
        "| test bits/dim | images | with log C(n, k), a bound | with the paper's KL, not one |",
        "|---|---|---|---|",
    ]
    for name, row in (("negative ELBO", figures.elbo), ("ODE", figures.ode)):
        lines.append(f"| {name} | {row.images} | {row.bound} | {row.paper} |")
    if figures.paper is not None:
        lines.append(
            f"| the authors' estimator | {figures.paper.images} | | {figures.paper.bits} |"
        )
    return "\n".join(lines)


def coder_table(figures: LikelihoodEvaluation, coders: Coders) -> str:
    """Return the table of the model beside simple coders of the same images, Markdown."""
    rows = {
        "this model, negative ELBO with log C(n, k)": str(figures.elbo.bound),
        "each pixel's own histogram in the training images": str(coders.marginal),
        "lossless WebP, one file for each image": str(coders.webp),
        "lossless WebP, many images in one file": f"{coders.webp_strip:.4f}",
        "PNG, one file for each image": str(coders.png),
        "PNG, many images in one file": f"{coders.png_strip:.4f}",
    }
    head = f"| coder of the same {coders.images} images | bits/dim |\n|---|---|\n"
    table = head + "\n".join(f"| {name} | {figure} |" for name, figure in rows.items())
    if min(coders.webp_strip, coders.webp.mean) < figures.elbo.bound.mean:
        table += (
            "\n\nLossless WebP takes fewer bits than this model: it finds areas of one colour, and "
            "repeats them exactly, which a model of noisy pixels has to pay for."
        )
    return table


def recognition_table(found: Recognition) -> str:
    """Return the table of samples beside real images, Markdown."""
    last_class = len(found.test_classes) - 1
    lines = [
        f"| | images | mean top-class confidence | images by class, 0 to {last_class} |",
        "|---|---|---|---|",
    ]
    for name, count, confidence, classes in (
        ("samples", found.samples, found.sample_confidence, found.sample_classes),
        ("test images", found.test_images, found.test_confidence, found.test_classes),
    ):
        lines.append(f"| {name} | {count} | {confidence} | {' '.join(map(str, classes))} |")
    return "\n".join(lines)


def _architecture(manifest: Manifest) -> str:
    config = require_mulan(manifest.config, "a card")
    height, width, channels = config.image_shape
    latent = (
        f"a {config.latent_k}-hot latent of {config.latent_size} (log C(n, k) = "
        f"{config.log_latents:.2f} nats)"
        if config.encodes
        else "no latent"
    )
    coarse = f"a coarse stage of width {config.coarse_width}, " if config.coarse_width else ""
    return (
        f"A MULAN model of {height}x{width}x{channels} images with {config.vocabulary} values a "
        f"pixel: {manifest.parameters:,} parameters, width {config.width}, {config.depth} + "
        f"{config.depth + 1} residual blocks, patch {config.patch}, {coarse}"
        f"{config.parameterisation} parameterisation, {latent}, gamma from "
        f"{config.gamma_min} to {config.gamma_max}. The "
        f"whole configuration is in `manifest.json`.\n\nSHA-256 of the weights: `{manifest.sha256}`"
    )


def _recognition(manifest: Manifest, found: Recognition | None) -> str:
    if found is None:
        return ""
    names = CLASSES.get(manifest.name)
    return (
        "What a small classifier, trained on the real training images and right on "
        f"{100 * found.test_accuracy:.1f} % of the test images, takes the samples for:\n\n"
        + recognition_table(found)
        + (f"\n\nThe classes, in order: {names}." if names else "")
    )


def _likelihood_notes(manifest: Manifest, figures: LikelihoodEvaluation) -> str:
    ode = figures.ode
    latent = manifest.config.log_latents / (manifest.config.dimensions * math.log(2))
    return (
        f"Means ± standard errors over images. ELBO: {figures.elbo_draws} noise draws an image, "
        f"evenly spread times. ODE: {ode.draws} draw(s), {ode.settings.probes} probes, tolerance "
        f"{ode.settings.tolerance_nats} nats, {ode.nfe:.0f} evaluations an image, {ode.failed} "
        f"failed. Naming the latent costs {latent:.4f} bits/dim of the bound. The two are bounds "
        "of two models that share a network, and the ODE's pays for its dequantization: either may "
        "be the lower (`docs/likelihood.md`)."
    )


def _samplers(manifest: Manifest) -> str:
    if not manifest.tuning:
        return ""
    tuning = Tuning.model_validate(manifest.tuning)
    found = tuning.sweep
    chosen = [f"- `{name}`: `{spec.model_dump_json()}`" for name, spec in presets(manifest).items()]
    rates = [
        f"{row.acceptance_rate:.2f} at {row.evaluations}"
        for row in found.of("rtk-mala")
        if row.acceptance_rate is not None
    ]
    kernel, frechet = found.real
    return "\n\n".join(
        [
            "## Which sampler for how many evaluations",
            f"![distances over evaluations]({CURVES})",
            f"A thousand times the squared kernel distance of {found.rows[0].images} samples to "
            f"{found.reference} test images, in the features of {FEATURES[found.features]} "
            "(so neither the published KID nor FID), ± standard errors over samples. The columns "
            "are evaluations of the network for each image, at most.",
            sweep_table(found),
            rivals_table(found),
            f"Real images that no training has seen are {1000 * kernel.value:.2f} ± "
            f"{1000 * kernel.standard_error:.2f} away (Fréchet {frechet}), {_meaning(found)} "
            "What matches the long DDPM, by the measured distance and with the benefit of two "
            "standard errors of the difference:",
            savings(found),
            "A learned score is no gradient, so `rtk-mala` is Metropolis-like only. Its rates of "
            f"acceptance, with step sizes adapted towards two thirds: {', '.join(rates)}.",
            "The presets `balanced` and `best` are the nearest of their budgets, and `fast` is the "
            "cheapest that is as near as any of 10 evaluations, up to one standard error. Settings "
            f"were chosen against training images, by a pilot of {tuning.pilot} images"
            f"{' or by learning' if tuning.learned else ''}:",
            "\n".join(chosen),
            "\n".join(f"    {command}" for command in [tuning.command, *tuning.learned]),
        ]
    )


def _meaning(found: Sweep) -> str:
    """Say what the distance of the real images means beside those of the samples."""
    kernel, _ = found.real
    nearest = min((row.kernel for row in found.rows), key=lambda distance: distance.value)
    apart = kernel.value - nearest.value
    if apart > 2 * math.hypot(kernel.standard_error, nearest.standard_error):
        return (
            "farther than the nearest samples. So here this distance does not tell how good "
            "samples are: the test images are few, or differ from those that were trained on."
        )
    return "by which sampling cannot be expected to do better."


def _training(manifest: Manifest) -> str:
    record = manifest.training
    if record is None:
        return ""
    last = record.history[-1]
    told = f", of which z told {last['information']:.2f}" if "information" in last else ""
    start = ""
    if record.started_from is not None:
        start = f"Training began with the weights `{record.started_from}`. "
    return (
        f"## Training\n\n![training curve]({CURVE})\n\n"
        f"    {record.command}\n\n"
        f"{start}{record.steps} steps, seed {record.seed}, {record.seconds / 60:.0f} minutes on "
        f"{record.machine}, torch {record.torch}. At the end the latent's KL was "
        f"{last['latent']:.2f} nats{told}. The curve's held-out images have "
        f"{record.held_out_draws} noise draw(s) each, the same at every look: it shows the course, "
        "the table above the level."
    )


def _data(manifest: Manifest) -> str:
    record = manifest.data
    if record is None:
        return ""
    rows = [
        f"| {part} | {entry.count} | `{entry.sha256[:16]}…` |"
        for part, entry in record.split.items()
    ]
    photographs = manifest.preprocessing is not None
    source = f"Photographs in the folder `{record.source}`" if photographs else record.source
    sources = [f"{source} (SHA-256 of the pixels `{record.sha256}`)"]
    hashed = (
        "their pixels"
        if photographs
        else "their sorted indices, the same for every data set divided so"
    )
    if record.test_source and record.test_sha256:
        sources.append(f"{record.test_source} (`{record.test_sha256}`)")
    return (
        f"## Data\n\n{' and '.join(sources)}, {record.licence}. Divided by seed "
        f"{record.split_seed}; the hashes of the parts are of {hashed}.\n\n| part | images | "
        f"SHA-256 of the {'pixels' if photographs else 'indices'} |\n|---|---|---|\n"
        + "\n".join(rows)
    )
