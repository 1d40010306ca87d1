"""`mulan models import`."""

import signal
from pathlib import Path

from models.checkpoints.flax_import import Copy, import_flax
from models.checkpoints.official import read_settings
from models.cli.lazy import Outcome


def import_checkpoint(
    checkpoint: Path, config: str, out: Path, params: Copy, name: str | None, max_bytes: int
) -> Outcome:
    """Make the checkpoint folder `out` of an official file."""
    # A termination signal then cleans up as an interrupt does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = read_settings(config)
    manifest = import_flax(
        checkpoint, settings, out, copy=params, name=name, max_bytes=max_bytes, progress=True
    )
    record = manifest.model_dump(mode="json") | {"folder": str(out)}
    return Outcome(record, f"{out}: {manifest.name} {manifest.sha256}")
