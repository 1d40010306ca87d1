"""`mulan models import`."""

import signal
from pathlib import Path
from typing import cast

import click

from models.checkpoints.flax_file import MAX_BYTES
from models.checkpoints.flax_import import Copy, import_flax
from models.checkpoints.official import NAMED, read_settings
from models.cli.options import as_json, emit, one_line_errors


@click.command("import")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--config",
    required=True,
    help=f"{', '.join(NAMED)}, or a JSON or TOML file of the settings that shapes do not show.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to make.")
@click.option(
    "--params",
    type=click.Choice(["ema", "raw"]),
    default="ema",
    show_default=True,
    help="The averaged parameters, or those that the optimiser last wrote.",
)
@click.option("--name", help="Name to serve it by; the folder's by default.")
@click.option(
    "--max-bytes",
    type=click.IntRange(1),
    default=MAX_BYTES,
    show_default=True,
    help="Refuse a file that unpacks to more.",
)
@as_json
@one_line_errors
def import_checkpoint(
    checkpoint: Path,
    config: str,
    out: Path,
    params: str,
    name: str | None,
    max_bytes: int,
    as_json: bool,
) -> None:
    """Make a checkpoint folder of CHECKPOINT: an official `ckpt-N.flax`, gzipped or not, its name
    without the ending, or the folder of several, whose latest is taken."""
    # Stopped from outside, it cleans up as when a person stops it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    manifest = import_flax(
        checkpoint,
        read_settings(config),
        out,
        copy=cast(Copy, params),
        name=name,
        max_bytes=max_bytes,
        progress=True,
    )
    record = manifest.model_dump(mode="json") | {"folder": str(out)}
    emit(record, f"{out}: {manifest.name} {manifest.sha256}", as_json)
