"""Options of the commands that compute: the device, the number of threads and the seed."""

import click

from models.cli.lazy import parsed

# torch's CPU generator reads 32 bits of a seed.
SEED = click.IntRange(0, 2**32 - 1)
MOST_THREADS = 1024

device = click.option(
    "--device",
    default="cpu",
    show_default=True,
    callback=parsed("models.cli.actions.compute:device"),
    help="cpu, cuda, cuda:1, …",
)
threads = click.option(
    "--threads",
    type=click.IntRange(1, MOST_THREADS),
    callback=parsed("models.cli.actions.compute:threads"),
    expose_value=False,
    help="CPU threads; torch's default if left out.",
)
