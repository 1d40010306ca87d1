"""Options that only torch can check."""

import click
import torch


def device(context: click.Context, parameter: click.Parameter, name: str) -> torch.device:
    """Turn a device's name into the device. Raises click.BadParameter where there is no such
    device."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise click.BadParameter(f"{name!r} is not a device; try cpu, cuda or cuda:1") from error
    if device.type not in ("cpu", "cuda"):
        raise click.BadParameter(f"{name!r} is neither cpu nor cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise click.BadParameter(
            f"no {name} here: this torch ({torch.__version__}) sees "
            f"{torch.cuda.device_count()} CUDA devices"
        )
    return device


def threads(context: click.Context, parameter: click.Parameter, count: int | None) -> None:
    """Set the number of CPU threads of torch, where one is given."""
    if count is not None:
        torch.set_num_threads(count)
