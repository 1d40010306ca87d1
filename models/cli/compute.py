"""Options of the commands that compute: where, with how much, and by which seed."""

import click
import torch

# torch's CPU generator reads 32 bits of a seed.
SEED = click.IntRange(0, 2**32 - 1)
MOST_THREADS = 1024


def _device(context: click.Context, parameter: click.Parameter, name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise click.BadParameter(f"{name!r} is no device; try cpu, cuda or cuda:1") from error
    if device.type not in ("cpu", "cuda"):
        raise click.BadParameter(f"{name!r} is neither cpu nor cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise click.BadParameter(
            f"no {name} here: this torch ({torch.__version__}) sees "
            f"{torch.cuda.device_count()} CUDA devices"
        )
    return device


def _threads(context: click.Context, parameter: click.Parameter, count: int | None) -> None:
    if count is not None:
        torch.set_num_threads(count)


device = click.option(
    "--device",
    default="cpu",
    show_default=True,
    callback=_device,
    help="cpu, cuda, cuda:1, …",
)
threads = click.option(
    "--threads",
    type=click.IntRange(1, MOST_THREADS),
    callback=_threads,
    expose_value=False,
    help="CPU threads; the default is torch's.",
)
