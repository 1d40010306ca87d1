"""`mulan models evaluate precision`: likelihoods of which a total error is asked."""

from pathlib import Path

from models.checkpoints.checkpoint import load_checkpoint
from models.cli.actions.chosen_images import chosen_test_images
from models.cli.lazy import Outcome
from models.evaluation.ode.precision import precision_table, precision_text
from models.files.shelf import find
from models.runtimes.eager import eager_denoiser


def precision(
    name: str,
    root: Path,
    data: str | None,
    test_data: str | None,
    images: int,
    nats: tuple[float, ...],
    max_evaluations: int,
    seed: int,
) -> Outcome:
    """Measure on a checkpoint's test images."""
    folder, manifest = find(name, root)
    tokens = chosen_test_images(manifest, data, test_data, images, seed)
    denoiser = eager_denoiser(load_checkpoint(folder).model)
    found = precision_table(
        *(manifest.name, denoiser, tokens, nats, max_evaluations, seed),
        manifest.ode_error_scales,
    )
    return Outcome(found.model_dump(mode="json"), precision_text(found))
