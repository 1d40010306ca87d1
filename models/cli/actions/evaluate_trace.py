"""`mulan models evaluate trace`: the error of likelihoods that their probes make."""

from pathlib import Path

from models.checkpoints.checkpoint import load_checkpoint
from models.cli.actions.chosen_images import chosen_test_images
from models.cli.lazy import Outcome
from models.evaluation.ode.trace import trace_errors, trace_table
from models.files.shelf import find
from models.runtimes.eager import eager_denoiser


def trace(
    name: str,
    root: Path,
    data: str | None,
    test_data: str | None,
    images: int,
    probes: tuple[int, ...],
    repeats: int,
    seed: int,
) -> Outcome:
    """Measure the trace's error on a checkpoint's test images."""
    folder, manifest = find(name, root)
    tokens = chosen_test_images(manifest, data, test_data, images, seed)
    denoiser = eager_denoiser(load_checkpoint(folder).model)
    found = trace_errors(
        *(manifest.name, denoiser, tokens, probes, repeats, seed), manifest.ode_error_scales
    )
    return Outcome(found.model_dump(mode="json"), trace_table(found))
