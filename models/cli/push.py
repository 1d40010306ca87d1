"""`mulan models push`."""

from pathlib import Path

import click

from models.cli.lazy import runs
from models.cli.options import as_json


@click.command("push")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--models",
    "root",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="MULAN_MODELS",
    help="Folder of checkpoint folders that the service reads.  [required, or MULAN_MODELS]",
)
@click.option(
    "--url",
    help="Address of the service, as http://127.0.0.1:8000, which is then asked to load the "
    "checkpoint. The first key of MULAN_API_KEYS is sent.",
)
@as_json
@runs("models.cli.actions.push:push")
def push() -> None:
    """Put the checkpoint in FOLDER into the models folder of a service.

    It is verified, copied beside the checkpoint of its name and exchanged for that in one step. A
    service loads it with --url, if MULAN_MODEL_CONTROL is set; by itself, if MULAN_WATCH_MODELS is
    set; or when it starts.
    """
