"""The command `mulan profile`. Its action is imported when it runs."""

import click

from models.cli.lazy import runs
from models.cli.options import as_json


@click.command()
@click.option("--model", default="digits", show_default=True, help="Name of a checkpoint.")
@click.option(
    "--models",
    type=click.Path(exists=True, file_okay=False),
    help="Folder of checkpoint folders; else MULAN_MODELS, or the shipped ones.",
)
@click.option(
    "--rows",
    type=click.IntRange(1, 4096),
    default=64,
    show_default=True,
    help="Rows in the engine at any time.",
)
@click.option(
    "--images",
    type=click.IntRange(1, 4096),
    default=1,
    show_default=True,
    help="Images of one job; where a job ends, the next one begins.",
)
@click.option(
    "--solver",
    "solvers",
    multiple=True,
    help="A sampler by name, a preset, or adams, which scores images; given several times, the "
    "jobs are divided among them.  [default: the preset balanced]",
)
@click.option(
    "--ticks",
    type=click.IntRange(1, 100_000),
    default=60,
    show_default=True,
    help="Ticks that are timed.",
)
@click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads; else MULAN_THREADS.")
@click.option(
    "--trace",
    type=click.Path(dir_okay=False, writable=True),
    help="File for a trace of ten ticks, which Perfetto and chrome://tracing show.",
)
@as_json
@runs("service.profile.action:profile")
def profile() -> None:
    """Show where the time of a tick goes.

    The engine runs in this process, without HTTP and store, and is kept full of jobs. The table has
    the time of each part of a tick, and the number of torch's operations in it.
    """
