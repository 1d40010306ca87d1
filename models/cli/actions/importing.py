"""`mulan models import`."""

import signal
from pathlib import Path

import click

from models.checkpoints.diffusers_import import import_diffusers
from models.checkpoints.flax_import import Copy, import_flax
from models.checkpoints.official import read_settings
from models.cli.lazy import Outcome
from models.schema.manifest import Manifest


def import_checkpoint(
    checkpoint: Path | None,
    diffusers: Path | None,
    config: str | None,
    out: Path | None,
    params: Copy,
    classes: int | None,
    name: str | None,
    max_bytes: int,
) -> Outcome:
    """Make the checkpoint folder `out` of an official file or of a diffusers folder."""
    # A termination signal then cleans up as an interrupt does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if diffusers is not None:
        if checkpoint is not None or config is not None:
            raise click.UsageError("--diffusers takes the place of CHECKPOINT and --config")
        manifest, folder = import_diffusers(diffusers, out, name, classes)
        return _outcome(manifest, folder)
    if classes is not None:
        raise click.UsageError("--classes is for --diffusers")
    if checkpoint is None:
        raise click.UsageError("CHECKPOINT is missing, or --diffusers")
    for option, value in ("--config", config), ("--out", out):
        if value is None:
            raise click.UsageError(f"{option} is missing")
    assert config is not None
    assert out is not None
    settings = read_settings(config)
    manifest = import_flax(
        checkpoint, settings, out, copy=params, name=name, max_bytes=max_bytes, progress=True
    )
    return _outcome(manifest, out)


def _outcome(manifest: Manifest, folder: Path) -> Outcome:
    record = manifest.model_dump(mode="json") | {"folder": str(folder)}
    return Outcome(record, f"{folder}: {manifest.name} {manifest.sha256}")
