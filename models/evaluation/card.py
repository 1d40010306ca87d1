"""A checkpoint's card: what it is, how it was made, what was measured, what it draws."""

import math
from pathlib import Path

from models.checkpoint import Checkpoint, save_manifest
from models.data import Tokens
from models.denoiser import Denoiser
from models.evaluation.figures import draw_samples, training_curve
from models.evaluation.likelihood import Figure, LikelihoodEvaluation, evaluate_likelihood
from models.files import write_atomically
from models.manifest import Manifest
from models.pictures import contact_sheet
from models.presets import presets
from models.specs import Rk45

CARD = "README.md"
SAMPLES, CURVE = "samples.png", "training.png"
SAMPLE_COUNT, SAMPLE_SEED = 64, 7


def write_card(folder: Path, checkpoint: Checkpoint, denoiser: Denoiser, test: Tokens) -> Manifest:
    """Measure on the test images, draw, and write card, pictures and figures into the folder."""
    manifest, model = checkpoint
    device = next(model.parameters()).device
    figures = evaluate_likelihood(model, denoiser, test, Rk45())
    preset = presets(manifest)["balanced"]
    sheet = draw_samples(denoiser, preset, SAMPLE_COUNT, SAMPLE_SEED, device)
    write_atomically(folder / SAMPLES, contact_sheet(sheet, manifest.config.vocabulary))
    if manifest.training is not None:
        training_curve(manifest.training.history, folder / CURVE)
    manifest = manifest.model_copy(
        update={"evaluation": {"likelihood": figures.model_dump(mode="json")}}
    )
    write_atomically(folder / CARD, _text(manifest, figures).encode())
    save_manifest(folder, manifest)
    return manifest


def likelihood_table(figures: LikelihoodEvaluation) -> str:
    """Bits/dim by both ways and with both latent terms, as Markdown."""
    lines = [
        "| bits/dim on the test images | with log C(n, k): a bound | with the paper's KL: none |",
        "|---|---|---|",
    ]
    for name, row in (("negative ELBO", figures.elbo), ("ODE", figures.ode)):
        lines.append(f"| {name} | {_figure(row.bound)} | {_figure(row.paper)} |")
    return "\n".join(lines)


def _figure(figure: Figure) -> str:
    error = "" if figure.standard_error is None else f" ± {figure.standard_error:.4f}"
    return f"{figure.mean:.4f}{error}"


def _text(manifest: Manifest, figures: LikelihoodEvaluation) -> str:
    parts = [
        f"# {manifest.name}",
        _architecture(manifest),
        f"![{SAMPLE_COUNT} samples]({SAMPLES})",
        f"{SAMPLE_COUNT} images by the `balanced` preset, "
        f"`{presets(manifest)['balanced'].model_dump_json()}`, seed {SAMPLE_SEED}.",
        "## Likelihood",
        likelihood_table(figures),
        _likelihood_notes(manifest, figures),
        _training(manifest),
        _data(manifest),
        "Written by `mulan models evaluate card DIR`, from the checkpoint and its data.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _architecture(manifest: Manifest) -> str:
    config = manifest.config
    height, width, channels = config.image_shape
    return (
        f"A MULAN model of {height}x{width}x{channels} images with {config.vocabulary} values a "
        f"pixel: {manifest.parameters:,} parameters, width {config.width}, {config.depth} + "
        f"{config.depth + 1} residual blocks, {config.parameterisation} parameterisation, a "
        f"{config.latent_k}-hot latent of {config.latent_size} (log C(n, k) = "
        f"{config.log_latents:.2f} nats), gamma from {config.gamma_min} to {config.gamma_max}. The "
        f"whole configuration is in `manifest.json`.\n\nSHA-256 of the weights: `{manifest.sha256}`"
    )


def _likelihood_notes(manifest: Manifest, figures: LikelihoodEvaluation) -> str:
    ode = figures.ode
    latent = manifest.config.log_latents / (manifest.config.dimensions * math.log(2))
    return (
        f"Means over {figures.images} images ± standard errors over images. ELBO: "
        f"{figures.elbo_draws} noise draws an image, evenly spread times. "
        f"ODE: {ode.draws} draw(s), {ode.settings.probes} probes, tolerance "
        f"{ode.settings.tolerance_nats} nats, {ode.nfe:.0f} evaluations an image, {ode.failed} "
        f"failed. Naming the latent costs {latent:.4f} bits/dim of the bound."
    )


def _training(manifest: Manifest) -> str:
    record = manifest.training
    if record is None:
        return ""
    last = record.history[-1]
    return (
        f"## Training\n\n![training curve]({CURVE})\n\n"
        f"    {record.command}\n\n"
        f"{record.steps} steps, seed {record.seed}, {record.seconds / 60:.0f} minutes on "
        f"{record.machine}, torch {record.torch}. At the end z carried "
        f"{last['latent']:.2f} nats about an image, of at most {manifest.config.log_latents:.2f}."
    )


def _data(manifest: Manifest) -> str:
    record = manifest.data
    if record is None:
        return ""
    rows = [
        f"| {part} | {entry.count} | `{entry.sha256[:16]}…` |"
        for part, entry in record.split.items()
    ]
    source = record.source + (f" and {record.test_source}" if record.test_source else "")
    return (
        f"## Data\n\n{source}, {record.licence}. Divided by seed {record.split_seed}; the hashes "
        "are of the sorted indices.\n\n| part | images | SHA-256 |\n|---|---|---|\n"
        + "\n".join(rows)
    )
